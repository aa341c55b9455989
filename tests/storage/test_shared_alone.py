"""What processes let through while Redis does not answer is charged when it is back: once, and that of all of them."""

import asyncio

import pytest

from gatewright.clock import MONOTONIC
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.layers.rate_limiter.shared import SharedLedger
from gatewright.storage.redis import RedisStore

# So slow that nothing is refilled during a test.
SLOW = {"requests_per_minute": 0.001, "burst_size": 100, "tokens_per_minute": 0.001, "burst_tokens": 1000}


class Process:
    def __init__(self, server, **config):
        self.store = RedisStore(server.url)
        self.ledger = SharedLedger(self.store)
        self.limit = Limit("global:", RateLimitConfig(**config), MONOTONIC.now())

    async def charge(self, tokens=1.0):
        got = await self.ledger.try_reserve([self.limit], tokens)
        assert isinstance(got, Permit)
        return got

    async def left(self):
        """Ask Redis, by a call that takes nothing."""
        (await self.charge(0)).cancel(MONOTONIC.now())
        now = MONOTONIC.now()
        levels = [bucket.level(now) for bucket in (self.limit.requests, self.limit.tokens) if bucket]
        await asyncio.sleep(0.03)  # that it was cancelled is told
        return levels


class Outage:
    """Has Redis stand still or die, and waits until every process has seen that it is back."""

    def __init__(self, server, processes):
        self.server, self.processes = server, processes
        self.kills = False

    async def begin(self):
        if self.kills:
            self.server.kill()
            async with asyncio.timeout(5):
                while not all(one.store.is_degraded for one in self.processes):
                    await asyncio.sleep(0.01)
            return
        self.server.pause()
        for one in self.processes:
            (await one.charge(0)).cancel(MONOTONIC.now())
            assert one.store.is_degraded

    async def end(self):
        self.server.start() if self.kills else self.server.go_on()
        await self.is_over()

    async def is_over(self):
        async with asyncio.timeout(5):
            while any(one.store.is_degraded for one in self.processes):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


@pytest.fixture
async def several(redis_server):
    made = []

    def make(count, **config):
        made.extend(Process(redis_server, **config) for _ in range(count))
        return made, Outage(redis_server, made)

    yield make
    for one in made:
        one.ledger.close()
        await one.store.aclose()


async def ask_once(processes):
    for one in processes:
        await one.left()


async def begun(made, *, kills=False):
    """Begin an outage of processes that have asked Redis before."""
    processes, outage = made
    outage.kills = kills
    await ask_once(processes)
    await outage.begin()
    return processes, outage


@pytest.mark.parametrize("kills", [False, True])
async def test_that_of_every_process_is_charged(several, kills):
    processes, outage = await begun(several(3, **SLOW), kills=kills)
    for one in processes:
        for _ in range(10):
            (await one.charge(30)).settle(20, MONOTONIC.now())
    await outage.end()
    for one in processes:
        assert await one.left() == pytest.approx([70, 400], abs=1)


@pytest.mark.parametrize("kills", [False, True])
async def test_a_call_that_was_under_way_gives_back_what_it_did_not_use_once(several, kills):
    processes, outage = await begun(several(2, **SLOW), kills=kills)
    held = [await one.charge(200) for one in processes]
    cancelled = [await one.charge(100) for one in processes]
    await outage.end()
    assert await processes[0].left() == pytest.approx([96, 400], abs=1)
    for permit in held:
        permit.settle(50, MONOTONIC.now())
    for permit in cancelled:
        permit.cancel(MONOTONIC.now())
    await asyncio.sleep(0.05)
    assert await processes[1].left() == pytest.approx([98, 900], abs=1)


async def test_what_was_not_charged_for_want_of_tokens_is_not_given_back(several):
    processes, outage = await begun(several(3, **SLOW))
    held = [[await one.charge(400) for _ in range(2)] for one in processes]
    await outage.end()
    _, tokens = await processes[0].left()
    assert tokens == pytest.approx(0, abs=1)  # nobody waits until more than nothing is left
    for one, permits in zip(processes, held, strict=True):
        for permit in permits:
            permit.settle(100, MONOTONIC.now())
        await one.left()
    _, tokens = await processes[0].left()
    assert 300 <= tokens <= 1000 - 3 * 100


async def test_what_came_in_meanwhile_is_not_missing(several):
    (one,), outage = await begun(several(1, requests_per_minute=6000, burst_size=5))
    for _ in range(20):
        (await one.charge()).settle(1, MONOTONIC.now())
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)
    await outage.end()
    assert await one.left() == pytest.approx([5], abs=0.5)


async def test_a_redis_that_is_back_and_refuses_is_told_when_it_does_not(several, redis_server):
    (one,), outage = several(1, **SLOW)
    await ask_once([one])
    redis_server.ask("CONFIG", "SET", "maxmemory", "1")
    for _ in range(10):
        (await one.charge(10)).settle(10, MONOTONIC.now())
    await asyncio.sleep(0.5)  # it was opened again meanwhile, and refused
    redis_server.ask("CONFIG", "SET", "maxmemory", "0")
    await asyncio.sleep(1.5)
    await outage.is_over()
    other = Process(redis_server, **SLOW)
    assert await other.left() == pytest.approx([90, 900], abs=1)
    await other.store.aclose()


async def test_a_process_whose_loop_ended_meanwhile_tells_it_all_the_same(several, redis_server):
    (one, other), outage = await begun(several(2, **SLOW))
    for _ in range(10):
        (await one.charge(10)).settle(10, MONOTONIC.now())
    one.ledger.abandon()
    await outage.end()
    await one.charge(10)
    await asyncio.sleep(0.05)
    assert await other.left() == pytest.approx([89, 890], abs=1)


async def test_a_forked_child_leaves_that_to_its_parent(several):
    (one, other), outage = await begun(several(2, **SLOW))
    await one.charge(10)
    one.ledger.abandon(forked=True)
    await outage.end()
    assert await other.left() == pytest.approx([100, 1000], abs=1)
