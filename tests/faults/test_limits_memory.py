"""What a crowd of tenants leaves behind."""

import asyncio
import gc
import tracemalloc

from gatewright.layers.rate_limiter import EVERY, RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.testing import FakeClock

TENANTS = 20_000


def visit(limiter, number):
    limits = limiter.limits_of(f"tenant-{number}", "m", None)
    permit = limiter.try_admit(limits, 10, limiter.now())
    assert permit is not None
    permit.settle(10)


async def test_idle_tenants_are_forgotten_as_others_come():
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.configure("tenant", EVERY, RateLimitConfig(requests_per_minute=600))
    limiter.configure("tenant_model", EVERY, RateLimitConfig(tokens_per_minute=60_000))
    visit(limiter, -1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(TENANTS):
        if number % 100 == 0:
            await clock.advance(0.1)
        visit(limiter, number)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(limiter.levels()) < 1000
    assert (after - before) / TENANTS < 30


async def test_tenants_that_waited_once_leave_nothing():
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.configure("global", "", RateLimitConfig(requests_per_minute=60_000, burst_size=1))

    async def call(number):
        permit = await limiter.admit(Claim(call_id=str(number), tokens=10, tenant=f"tenant-{number}"))
        permit.settle(10)

    tracemalloc.start()
    before = None
    for number in range(0, 2000, 20):
        tasks = [asyncio.create_task(call(number + one)) for one in range(20)]
        await clock.advance(0.1)
        await asyncio.gather(*tasks)
        del tasks
        if before is None:
            before = tracemalloc.get_traced_memory()[0]
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert limiter.is_idle
    assert (after - before) / 2000 < 30


async def test_refused_and_cancelled_calls_leave_nothing_while_others_wait():
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.configure("global", "", RateLimitConfig(max_concurrent=1))
    held = await limiter.admit(Claim(call_id="held", tokens=1))
    stays = asyncio.create_task(limiter.admit(Claim(call_id="stays", tokens=1)))
    await clock.advance(0)
    for number in range(500):
        claim = Claim(call_id=str(number), tokens=1, tenant=f"tenant-{number}", deadline=clock.now() + 0.01)
        task = asyncio.create_task(limiter.admit(claim))
        await asyncio.sleep(0)
        if number % 2:
            task.cancel()
        else:
            await clock.advance(0.011)
        await asyncio.gather(task, return_exceptions=True)
    assert limiter.waiting == 1
    assert len(limiter._room._expiries) < 200
    held.settle(1)
    (await stays).settle(1)
    assert limiter.is_idle
