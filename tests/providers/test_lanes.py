"""Which lane a deployment takes, and how its provider is made, kept and closed."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from gatewright.errors import ConfigurationError
from gatewright.providers.http.httpx_client import HttpxClient
from gatewright.providers.lanes import UNLIMITED, Lanes, lane_of
from gatewright.providers.openai_wire.provider import OpenAIWire
from gatewright.testing import ScriptedProvider
from gatewright.types.deployment import Deployment, Lane


def deployment(provider: str = "openai", id_: str = "d", **fields: object) -> Deployment:
    return Deployment(id=id_, group="g", provider=provider, model="m", api_key=SecretStr("k" * 8), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "lane", "base_url", "taken"),
    [
        ("openai", "auto", None, "direct"),
        ("openai", "litellm", None, "litellm"),
        ("together", "auto", None, "direct"),
        ("anthropic", "auto", None, "litellm"),
        ("anthropic", "direct", "http://localhost/v1", "direct"),
        ("simulator", "litellm", None, "simulator"),
        ("local", "auto", None, "local"),
    ],
)
def test_the_lane(provider: str, lane: Lane, base_url: str | None, taken: str):
    assert lane_of(deployment(provider, lane=lane, base_url=base_url)) == taken


def test_a_lane_that_leads_nowhere_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"anthropic.*api_base.*litellm"):
        lane_of(deployment("anthropic", lane="direct"))


async def test_a_provider_is_made_once_and_anew_after_it_was_forgotten():
    lanes = Lanes()
    first = lanes.provider(deployment())
    assert isinstance(first, OpenAIWire)
    assert lanes.provider(deployment()) is first
    lanes.forget("d")
    assert lanes.provider(deployment()) is not first
    await lanes.aclose()


async def test_a_provider_of_ones_own_comes_first():
    mine = ScriptedProvider([])
    lanes = Lanes(own={"openai": lambda _: mine})
    assert lanes.provider(deployment()) is mine
    await lanes.aclose()
    assert mine.closed


async def test_deployments_of_http2_share_a_client_of_their_own():
    lanes = Lanes()
    one = lanes.provider(deployment(http2=True))
    two = lanes.provider(deployment(id_="e", http2=True))
    three = lanes.provider(deployment(id_="f"))
    clients = [provider._http for provider in (one, two, three)]  # type: ignore[attr-defined]
    assert isinstance(clients[0], HttpxClient)
    assert clients[0] is clients[1]
    assert clients[2] is not clients[0]
    await lanes.aclose()


async def test_one_that_fails_to_close_does_not_keep_the_others_open(caplog: pytest.LogCaptureFixture):
    class Stubborn(ScriptedProvider):
        async def aclose(self) -> None:
            raise RuntimeError("no")

    other = ScriptedProvider([])
    providers = iter([Stubborn([]), other])
    lanes = Lanes(own={"mine": lambda _: next(providers)})
    lanes.provider(deployment("mine", "a"))
    lanes.provider(deployment("mine", "b"))
    await lanes.aclose()
    assert other.closed
    assert "closing Stubborn failed" in caplog.text


@pytest.mark.parametrize(
    ("provider", "settings", "limit"),
    [
        ("openai", {}, 2048),
        ("mistral", {}, 512),
        ("dashscope", {}, 10),
        ("cohere", {}, 96),
        ("simulator", {}, UNLIMITED),
        ("openai", {"embed_batch": 7}, 7),
        ("openai", {"embed_batch": "7"}, 2048),
    ],
)
def test_how_many_inputs_one_request_may_have(provider: str, settings: dict[str, object], limit: int):
    assert Lanes().embed_limit(deployment(provider, settings=settings)) == limit
