"""Calls that wait already are refused at once where they cannot go any more: later is no better."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig

TWO_A_MINUTE = RateLimitConfig(requests_per_minute=1, burst_size=2, enable_queuing=False)
ONE_AT_ONCE = RateLimitConfig(max_concurrent=1, queue_timeout=20)


@pytest.mark.parametrize("configured", ["before", "while they wait"])
async def test_one_that_waited_elsewhere_does_not_wait_at_a_limit_without_a_queue(
    gateway_of: Any, patient: Any, until_async: Any, configured: str
) -> None:
    async with gateway_of(patient, tenant_rate_limits={"a": ONE_AT_ONCE}) as gateway:
        if configured == "before":
            gateway.configure_rate_limiting(TWO_A_MINUTE)
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(4)]
        await until_async(lambda: patient.started == 1 and gateway.queue_status().length == 3)
        if configured != "before":
            gateway.configure_rate_limiting(TWO_A_MINUTE)
        patient.release.set()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, RateLimited)]
    assert refused == ended[4 - len(refused) :]
    assert len(refused) == (2 if configured == "before" else 1)
    for error in refused:
        assert "calls do not wait for it" in str(error)
        assert error.retry_after is not None
        assert error.retry_after > 50


async def test_a_limit_that_is_slowed_refuses_who_cannot_make_the_deadline_any_more(
    gateway_of: Any, upstream: Any, until_async: Any
) -> None:
    async with gateway_of(upstream, rate_limit=RateLimitConfig(requests_per_minute=60, burst_size=1)) as gateway:
        await gateway.generate_async("first", timeout=120)
        calls = [
            asyncio.create_task(gateway.generate_async(f"{n}", timeout=t)) for n, t in enumerate((10, 90, 10, 150))
        ]
        await until_async(lambda: gateway.queue_status().length == 4)
        gateway.configure_rate_limiting(RateLimitConfig(requests_per_minute=1, burst_size=1))
        await until_async(lambda: calls[0].done() and calls[2].done())
        # Those behind them come earlier, and still have the time for it.
        assert not calls[1].done()
        assert not calls[3].done()
        error = calls[0].exception()
        assert isinstance(error, RateLimited)
        assert error.retry_after is not None
        assert 50 < error.retry_after < 61
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
