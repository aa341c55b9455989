"""Both lanes make of the recorded bytes what the bytes say."""

from __future__ import annotations

import functools

import pytest

from gatewright.errors import GatewayError
from gatewright.providers.base import Provider
from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.litellm.provider import LiteLLMProvider
from gatewright.providers.openai_wire.provider import OpenAIWire
from recorded import lanes, normal
from recorded.differences import DIRECT, LITELLM
from recorded.exchanges import Exchange, replayed
from recorded.formats import expected
from recorded.normal import Normal
from recorded.server import Replay

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # litellm's own models; it silences these itself when it is imported, and pytest undoes that for each test.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_"),
]

EXCHANGES = replayed()
OPENAI = [exchange for exchange in EXCHANGES if exchange.format.startswith("openai")]
one_by_one = functools.partial(pytest.mark.parametrize, "exchange", ids=lambda exchange: exchange.key)


@one_by_one(EXCHANGES)
async def test_litellm_lane(exchange: Exchange, replay: Replay) -> None:
    provider = LiteLLMProvider(lanes.litellm_deployment(exchange, replay.url), drop_unsupported=True)
    found = await _asked(provider, exchange, replay)
    await provider.aclose()
    _check(found, exchange, LITELLM)


@one_by_one(OPENAI)
async def test_direct_lane(exchange: Exchange, replay: Replay, http: AiohttpClient) -> None:
    provider = OpenAIWire(lanes.direct_deployment(exchange, replay.url), http, drop_unsupported=True)
    _check(await _asked(provider, exchange, replay), exchange, DIRECT)


async def _asked(provider: Provider, exchange: Exchange, replay: Replay) -> Normal:
    replay.play(exchange)
    try:
        return await normal.read(await provider(lanes.call_of(exchange)))
    except GatewayError as error:
        assert lanes.SECRET not in str(error)
        return Normal(error=type(error).__name__)


def _check(found: Normal, exchange: Exchange, differences: dict[str, str]) -> None:
    if exchange.key in differences:
        assert not normal.alike(found, expected(exchange)), f"no longer differs: {differences[exchange.key]}"
    else:
        assert found == expected(exchange) if found.vectors is None else normal.alike(found, expected(exchange))
