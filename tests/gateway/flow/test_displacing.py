"""Where a queue is full, whoever has most of it makes room for one who has less: once, and for one who stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig

TWO_MAY_WAIT = RateLimitConfig(max_concurrent=1, max_queue_size=2)


async def test_one_leaves_where_two_limits_have_no_room_for_it(gateway_of: Any, patient: Any, until_async: Any) -> None:
    limits = {"rate_limit": TWO_MAY_WAIT, "model_rate_limits": {"m": TWO_MAY_WAIT}}
    async with gateway_of(patient, **limits) as gateway:
        flood = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(3)]
        await until_async(lambda: gateway.queue_status().length == 2)
        other = asyncio.create_task(gateway.generate_async("b", tenant_id="b"))
        await until_async(lambda: gateway.queue_status().by_tenant == {"a": 1, "b": 1})
        patient.release.set()
        *answered, displaced = await asyncio.gather(*flood, return_exceptions=True)
        await other
    assert isinstance(displaced, RateLimited)
    assert not any(isinstance(one, BaseException) for one in answered)


async def test_nobody_leaves_for_one_who_has_no_time(gateway_of: Any, upstream: Any, until_async: Any) -> None:
    slow = RateLimitConfig(requests_per_minute=1, burst_size=1, max_queue_size=2)
    async with gateway_of(upstream, rate_limit=slow) as gateway:
        await gateway.generate_async("first", tenant_id="a")
        waiting = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(2)]
        await until_async(lambda: gateway.queue_status().length == 2)
        with pytest.raises(RateLimited, match="has less time"):
            await gateway.generate_async("b", tenant_id="b", timeout=0.2)
        assert gateway.queue_status().by_tenant == {"a": 2}
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_queue_that_was_made_shorter_gives_places_too(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, rate_limit=RateLimitConfig(max_concurrent=1, max_queue_size=100)) as gateway:
        flood = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(6)]
        await until_async(lambda: gateway.queue_status().length == 5)
        gateway.configure_rate_limiting(TWO_MAY_WAIT)
        other = asyncio.create_task(gateway.generate_async("b", tenant_id="b"))
        await until_async(lambda: gateway.queue_status().by_tenant == {"a": 4, "b": 1})
        patient.release.set()
        await asyncio.gather(*flood, other, return_exceptions=True)
    assert other.exception() is None
