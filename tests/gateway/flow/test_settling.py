"""Whatever way a call ends, it is charged the tokens that it used, at every limit, and gives its permit back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import BadRequest, DeadlineExceeded, GatewayError, ProviderUnavailable, StreamInterrupted
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.testing import ScriptedProvider

BURST = 10_000
METERED = RateLimitConfig(tokens_per_minute=0.001, burst_tokens=BURST, max_concurrent=5)
SCOPES = {"global:", "tenant:a", "model:m"}
STORY = "one two three four five six seven eight nine ten"


@pytest.fixture
def metered(gateway_of: Any) -> Any:
    def make(answers: Any, **settings: Any) -> Any:
        return gateway_of(
            answers,
            rate_limit=METERED,
            tenant_rate_limits={"a": METERED},
            model_rate_limits={"m": METERED},
            **settings,
        )

    return make


def charged(gateway: Any) -> int:
    """Give what each limit was charged, where they all agree and nothing is under way any more."""
    limits = {one.scope: one for one in gateway.rate_limits() if not one.scope.startswith("deployment")}
    assert set(limits) == SCOPES
    assert {one.in_flight for one in limits.values()} == {0}
    (used,) = {round(BURST - one.tokens) for one in limits.values()}
    return used


async def test_a_completed_call(metered: Any, upstream: Any) -> None:
    async with metered(upstream) as gateway:
        answer = await gateway.generate_async("hello", tenant_id="a")
        assert charged(gateway) == answer.usage.total_tokens == 5


def test_a_completed_blocking_call(metered: Any, upstream: Any) -> None:
    with metered(upstream) as gateway:
        gateway.generate("hello", tenant_id="a")
        assert charged(gateway) == 5


async def test_completed_embeddings(metered: Any, upstream: Any) -> None:
    async with metered(upstream) as gateway:
        vectors = await gateway.embed_async(["a", "b", "c"], tenant_id="a")
        assert charged(gateway) == vectors.usage.total_tokens == 3


async def test_a_completed_stream(metered: Any, upstream: Any) -> None:
    async with metered(upstream) as gateway:
        stream = gateway.generate_stream("7", tenant_id="a")
        assert len([text async for text in stream]) == 7
        assert charged(gateway) == 10


def test_a_completed_blocking_stream(metered: Any, upstream: Any) -> None:
    with metered(upstream) as gateway:
        assert len(list(gateway.generate_stream("7", tenant_id="a"))) == 7
        assert charged(gateway) == 10


async def test_an_abandoned_stream_is_charged_what_came(metered: Any, upstream: Any, until_async: Any) -> None:
    async with metered(upstream) as gateway:
        stream = gateway.generate_stream("endless", tenant_id="a")
        async for _ in stream:
            break
        while_it_lasts = next(one for one in gateway.rate_limits() if one.scope == "global:")
        assert while_it_lasts.in_flight == 1
        assert BURST - while_it_lasts.tokens > 200  # reserved: nobody knows yet how long it gets
        await stream.aclose()
        await until_async(lambda: next(iter(gateway.rate_limits())).in_flight == 0)
        assert 3 <= charged(gateway) < 100


async def test_a_stream_that_is_dropped_is_charged_too(metered: Any, upstream: Any, until_async: Any) -> None:
    async with metered(upstream) as gateway:
        stream = gateway.generate_stream("endless", tenant_id="a")
        assert await anext(aiter(stream)) == "0 "
        del stream
        await until_async(lambda: next(iter(gateway.rate_limits())).in_flight == 0)
        assert 3 <= charged(gateway) < 100


async def test_a_stream_that_breaks_is_charged_what_came(metered: Any) -> None:
    broken = ScriptedProvider([[STORY, " and", ProviderUnavailable("gone")]])
    async with metered(broken) as gateway:
        with pytest.raises(StreamInterrupted):
            async for _ in gateway.generate_stream("tell", tenant_id="a"):
                pass
        assert 10 <= charged(gateway) < 30


async def test_a_stream_past_its_deadline_is_charged_what_came(metered: Any, upstream: Any, until_async: Any) -> None:
    async with metered(upstream) as gateway:
        with pytest.raises(GatewayError):
            async for _ in gateway.generate_stream("endless", tenant_id="a", timeout=0.1):
                pass
        await until_async(lambda: next(iter(gateway.rate_limits())).in_flight == 0)
        assert 5 <= charged(gateway) < 200


async def test_a_stream_whose_reader_is_cancelled(metered: Any, upstream: Any, until_async: Any) -> None:
    async with metered(upstream) as gateway:

        async def read() -> None:
            async for _ in gateway.generate_stream("endless", tenant_id="a"):
                begun.set()

        begun = asyncio.Event()
        reader = asyncio.create_task(read())
        await begun.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await until_async(lambda: next(iter(gateway.rate_limits())).in_flight == 0)
        assert 3 <= charged(gateway) < 100


async def test_a_refused_call_costs_its_request_and_no_tokens(metered: Any) -> None:
    async with metered(ScriptedProvider([BadRequest("no"), ProviderUnavailable("down")])) as gateway:
        for expected in (BadRequest, ProviderUnavailable):
            with pytest.raises(expected):
                await gateway.generate_async("hello", tenant_id="a")
        assert charged(gateway) == 0


async def test_failed_embeddings_cost_no_tokens(metered: Any) -> None:
    async with metered(ScriptedProvider([BadRequest("no")])) as gateway:
        with pytest.raises(BadRequest):
            await gateway.embed_async(["hello"] * 3, tenant_id="a")
        assert charged(gateway) == 0


async def test_a_cancelled_call_is_charged_its_prompt(metered: Any, upstream: Any, until_async: Any) -> None:
    async with metered(upstream) as gateway:
        call = asyncio.create_task(gateway.generate_async("hang", tenant_id="a"))
        await until_async(lambda: upstream.requests)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert 4 <= charged(gateway) <= 12


async def test_a_call_past_its_deadline_is_charged_its_prompt(metered: Any, upstream: Any) -> None:
    async with metered(upstream) as gateway:
        with pytest.raises(DeadlineExceeded):
            await gateway.generate_async("hang", tenant_id="a", timeout=0.1)
        assert 4 <= charged(gateway) <= 12


async def test_a_call_that_fell_back_is_charged_once(metered: Any) -> None:
    flaky = ScriptedProvider([ProviderUnavailable("down"), "fine"])
    async with metered(flaky, max_retries=1, retries={"base": 0}) as gateway:
        answer = await gateway.generate_async("hello", tenant_id="a")
        assert answer.attempts == 2
        assert 5 <= charged(gateway) < 20


async def test_the_deployments_limit_is_charged_as_well(gateway_of: Any, upstream: Any, limit_of: Any) -> None:
    async with gateway_of(upstream, params={"tpm": 10_000, "max_parallel_requests": 5}) as gateway:
        await gateway.generate_async("hello")
        await gateway.embed_async(["a", "b"])
        stream = gateway.generate_stream("endless")
        await anext(aiter(stream))
        await stream.aclose()
        limit = limit_of(gateway, "deployment:m#0")
    assert limit.in_flight == 0
    # 10,000 tokens a minute come back at 167 a second: what was used is no more than some ten.
    assert limit.tokens > 9_900


async def test_what_a_tenant_writes_is_learned(gateway_of: Any, upstream: Any, limit_of: Any) -> None:
    async with gateway_of(upstream, rate_limit=METERED) as gateway:
        await gateway.embed_async("so that there is a limit to look at")

        async def reserved() -> float:
            before = limit_of(gateway, "global:").tokens
            stream = gateway.generate_stream("endless")
            await anext(aiter(stream))
            held = before - limit_of(gateway, "global:").tokens
            await stream.aclose()
            return held

        assert await reserved() > 200
        for number in range(20):
            await gateway.generate_async(f"hello {number}")
        assert await reserved() < 60


async def test_max_tokens_caps_what_is_reserved(gateway_of: Any, upstream: Any, limit_of: Any) -> None:
    async with gateway_of(upstream, rate_limit=METERED) as gateway:
        stream = gateway.generate_stream("endless", max_tokens=7)
        await anext(aiter(stream))
        assert BURST - limit_of(gateway, "global:").tokens < 30
        await stream.aclose()
