"""The same on the system's clock and a real event loop."""

import asyncio

from gatewright.layers.rate_limiter import RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim


async def test_calls_that_wait_go_by_themselves_and_nothing_is_left():
    limiter = RateLimiter()
    limiter.configure("global", "", RateLimitConfig(requests_per_minute=6000, burst_size=1))
    claims = [Claim(call_id=str(number), tokens=1, tenant="ab"[number % 2]) for number in range(8)]
    permits = await asyncio.gather(*(limiter.admit(claim) for claim in claims))
    assert all(permit.settle(1) for permit in permits)
    await asyncio.sleep(0)
    assert limiter.is_idle
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_limiter_goes_on_from_one_loop_to_the_next():
    limiter = RateLimiter()
    limiter.configure("global", "", RateLimitConfig(max_concurrent=1))

    async def interrupted():
        await limiter.admit(Claim(call_id="never settled", tokens=1))
        waits = asyncio.create_task(limiter.admit(Claim(call_id="waits", tokens=1)))
        await asyncio.sleep(0)
        assert limiter.waiting == 1
        return waits

    for _ in range(2):
        waits = asyncio.run(interrupted())
        assert waits.cancelled()
        assert limiter.is_idle
        limiter.abandon()
