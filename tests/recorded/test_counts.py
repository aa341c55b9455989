"""Both lanes count the cached, written and reasoning tokens, and the tier and the charge, that the bytes tell of."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from gatewright.errors import GatewayError
from gatewright.pipeline.reply import Reply
from gatewright.providers.base import Provider
from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.litellm.provider import LiteLLMProvider
from gatewright.providers.openai_wire.provider import OpenAIWire
from gatewright.types.usage import Usage
from recorded import lanes
from recorded.count_differences import DIRECT, LITELLM
from recorded.exchanges import Exchange, replayed
from recorded.formats.sse import events
from recorded.server import Replay

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_"),
]


class Counts(dict[str, Any]):
    """What is told of, by the names of `Usage`; what is zero or absent is not there."""


def openai(usage: dict[str, Any]) -> Counts:
    before, after = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    flat = usage.get("prompt_cache_hit_tokens") or usage.get("num_cached_tokens") or usage.get("cached_tokens")
    cost = usage.get("cost")
    return Counts(
        cached_tokens=before.get("cached_tokens") or flat,
        cache_write_tokens=before.get("cache_write_tokens"),
        reasoning_tokens=after.get("reasoning_tokens"),
        stated_cost_usd=cost.get("total_cost") if isinstance(cost, dict) else cost,
    )


def anthropic(usage: dict[str, Any]) -> Counts:
    return Counts(
        cached_tokens=usage.get("cache_read_input_tokens"),
        cache_write_tokens=usage.get("cache_creation_input_tokens"),
        cache_write_1h_tokens=(usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens"),
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    )


def gemini(usage: dict[str, Any]) -> Counts:
    return Counts(cached_tokens=usage.get("cachedContentTokenCount"), reasoning_tokens=usage.get("thoughtsTokenCount"))


READERS = {"openai_chat": openai, "anthropic": anthropic, "gemini": gemini}
TIERS = {"flex": "flex", "priority": "priority"}


def told(exchange: Exchange) -> dict[str, Any]:
    """Give what an exchange's bytes tell of, read with nothing of the gateway's."""
    if exchange.format not in READERS or exchange.status != 200:
        return {}
    bodies = events(exchange.body) if exchange.stream else [json.loads(exchange.body)]
    usage: dict[str, Any] = {}
    tier = None
    for body in bodies:
        inner = body.get("message") or {}
        for found in (inner.get("usage"), body.get("usage"), body.get("usageMetadata")):
            usage |= {name: value for name, value in (found or {}).items() if value is not None}
        tier = body.get("service_tier") or tier
    counts = READERS[exchange.format](usage)
    return {name: value for name, value in {**counts, "service_tier": TIERS.get(tier or "")}.items() if value}


TOLD = [exchange for exchange in replayed() if told(exchange)]
one_by_one = functools.partial(pytest.mark.parametrize, "exchange", ids=lambda exchange: exchange.key)


async def test_much_is_told_of() -> None:
    names = [name for exchange in TOLD for name in told(exchange)]
    least = {"cached_tokens": 20, "reasoning_tokens": 100, "cache_write_tokens": 3, "stated_cost_usd": 20}
    assert all(names.count(name) >= count for name, count in least.items()), {name: names.count(name) for name in least}


@one_by_one(TOLD)
async def test_litellm_lane(exchange: Exchange, replay: Replay) -> None:
    provider = LiteLLMProvider(lanes.litellm_deployment(exchange, replay.url), drop_unsupported=True)
    _check(await _usage(provider, exchange, replay), exchange, LITELLM)
    await provider.aclose()


@one_by_one([exchange for exchange in TOLD if exchange.format == "openai_chat"])
async def test_direct_lane(exchange: Exchange, replay: Replay, http: AiohttpClient) -> None:
    provider = OpenAIWire(lanes.direct_deployment(exchange, replay.url), http, drop_unsupported=True)
    _check(await _usage(provider, exchange, replay), exchange, DIRECT)


async def _usage(provider: Provider, exchange: Exchange, replay: Replay) -> Usage | None:
    replay.play(exchange)
    try:
        reply: Reply[Any, Any] = await provider(lanes.call_of(exchange))
        async with reply:
            return (await reply.value()).usage
    except GatewayError:
        return None


def _check(usage: Usage | None, exchange: Exchange, differences: dict[str, str]) -> None:
    expected = told(exchange)
    found = {name: getattr(usage, name) for name in expected} if usage is not None else None
    if exchange.key in differences:
        assert found != expected, f"no longer differs: {differences[exchange.key]}"
    else:
        assert found == expected
