"""The ledger in memory and the one in Redis decide the same; what Redis has of its own is tested besides."""

import asyncio
import math
import os
import uuid

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gatewright.clock import MONOTONIC
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.layers.rate_limiter.shared import SharedLedger, SharedPermit
from gatewright.storage.redis import RedisStore

# So slow that nothing is refilled during a test.
SLOW = 0.001


def limits_of(*configs, names=("global:", "tenant:a", "model:m", "deployment:d")):
    now = MONOTONIC.now()
    return [Limit(name, RateLimitConfig(**config), now) for name, config in zip(names, configs, strict=False)]


class Process:
    """What one process has: a connection, a ledger, and limits of its own."""

    def __init__(self, server, *configs, namespace="gatewright"):
        self.store = RedisStore(server.url, namespace=namespace, patience=5.0)
        self.ledger = SharedLedger(self.store)
        self.limits = limits_of(*configs)

    async def reserve(self, tokens=1.0, limits=None):
        return await self.ledger.try_reserve(limits or self.limits, tokens)

    async def charge(self, tokens=1.0):
        got = await self.reserve(tokens)
        assert isinstance(got, SharedPermit)
        return got

    async def aclose(self):
        self.ledger.close()
        await self.store.aclose()


@pytest.fixture
async def process(redis_server):
    made = []

    def make(*configs):
        made.append(Process(redis_server, *configs))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


configs = st.fixed_dictionaries(
    {},
    optional={
        "requests_per_minute": st.just(SLOW),
        "burst_size": st.integers(1, 8),
        "tokens_per_minute": st.just(SLOW),
        "burst_tokens": st.integers(1, 60),
        "max_concurrent": st.integers(1, 4),
    },
)
steps = st.one_of(
    st.tuples(st.just("reserve"), st.integers(0, 80), st.sets(st.integers(0, 3), min_size=1)),
    st.tuples(st.just("settle"), st.integers(0, 99), st.none() | st.integers(0, 120)),
    st.tuples(st.just("cancel"), st.integers(0, 99), st.none()),
    st.tuples(st.just("correct"), st.integers(0, 3), st.integers(0, 8)),
    st.tuples(st.just("pause"), st.integers(0, 3), st.sampled_from([0.0, 1000.0])),
)


class Both:
    """The same things done to limits in memory and to limits in Redis."""

    def __init__(self, process, all_configs):
        self.process = process
        self.memory = limits_of(*all_configs)
        self.shared = limits_of(*all_configs)
        self.held = []

    async def reserve(self, tokens, which):
        now = MONOTONIC.now()
        memory = [self.memory[n] for n in sorted(which)]
        got = try_reserve(memory, tokens, now)
        blocked = blocked_by(memory, tokens, now)
        ours = await self.process.reserve(tokens, [self.shared[n] for n in sorted(which)])
        if isinstance(got, Permit):
            assert isinstance(ours, SharedPermit)
            self.held.append((got, ours))
        else:
            assert not isinstance(ours, Permit)
            assert ours[1] == pytest.approx(blocked[1], rel=1e-3, abs=0.1)
            assert math.isinf(ours[1]) == math.isinf(got)

    async def settle(self, which, used):
        if self.held:
            for one in self.held[which % len(self.held)]:
                one.settle(used, MONOTONIC.now())

    async def cancel(self, which, _):
        if self.held:
            for one in self.held[which % len(self.held)]:
                one.cancel(MONOTONIC.now())

    async def correct(self, which, left):
        for limit in (self.memory[which], self.shared[which]):
            limit.correct(MONOTONIC.now(), requests=left, tokens=left)
        self.process.ledger.correct(self.shared[which], left, left)

    async def pause(self, which, seconds):
        now = MONOTONIC.now()
        for limit in (self.memory[which], self.shared[which]):
            limit.pause_until(now + seconds, now)
        self.process.ledger.pause(self.shared[which], seconds)


@given(st.tuples(configs, configs, configs, configs), st.lists(steps, max_size=25))
@example(
    ({}, {}, {}, {"tokens_per_minute": SLOW, "burst_tokens": 2}),
    [("reserve", 1, {3}), ("correct", 3, 0), ("settle", 0, 0), ("reserve", 2, {3})],
)
@settings(
    max_examples=int(os.environ.get("REDIS_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_memory_and_redis_decide_the_same(redis_server, all_configs, actions):
    async def play():
        process = Process(redis_server, namespace=uuid.uuid4().hex)
        both = Both(process, all_configs)
        try:
            for name, first, second in actions:
                await getattr(both, name)(first, second)
        finally:
            await process.aclose()

    asyncio.run(play())


async def test_processes_share_every_limit(process):
    one, other = (process({"requests_per_minute": SLOW, "burst_size": 3}, {}) for _ in range(2))
    for who in (one, other, one):
        await who.charge()
    limit, wait = await other.reserve()
    assert limit is other.limits[0]
    assert wait == pytest.approx(60 / SLOW, rel=0.01)


async def test_tokens_are_settled_for_all(process):
    one, other = (process({"tokens_per_minute": SLOW, "burst_tokens": 100}) for _ in range(2))
    reservation = await one.charge(100)
    assert not isinstance(await other.reserve(1), Permit)
    assert reservation.settle(30, MONOTONIC.now())
    assert not reservation.settle(30, MONOTONIC.now())
    await one.reserve(1000)  # takes the settlement along
    (await other.charge(70)).settle(170, MONOTONIC.now())
    _, wait = await other.reserve(100)
    assert wait == pytest.approx(200 / (SLOW / 60), rel=0.01)
    await asyncio.sleep(0.05)
    _, wait = await one.reserve(100)
    assert wait == pytest.approx(200 / (SLOW / 60), rel=0.01)


async def test_a_settlement_does_not_wait_for_the_next_question(process):
    one, other = (process({"max_concurrent": 1}) for _ in range(2))
    (await one.charge()).settle(1, MONOTONIC.now())
    await asyncio.sleep(0.1)
    await other.charge()


async def test_it_is_refilled_by_time_up_to_the_burst(process):
    one, other = (process({"requests_per_minute": 60 * 20, "burst_size": 2}) for _ in range(2))
    await one.charge()
    await one.charge()
    _, wait = await other.reserve()
    assert 0.0 < wait <= 0.05
    await asyncio.sleep(0.3)
    await other.charge()
    await one.charge()
    assert not isinstance(await one.reserve(), Permit)


async def test_a_changed_limit_holds_at_once(process):
    one = process({"requests_per_minute": SLOW, "burst_size": 5})
    await one.charge()
    one.limits[0].change(RateLimitConfig(requests_per_minute=SLOW, burst_size=1), MONOTONIC.now())
    await one.charge()
    assert not isinstance(await one.reserve(), Permit)
    one.limits[0].change(RateLimitConfig(), MONOTONIC.now())
    await one.charge()


async def test_pauses_and_corrections_reach_the_others(process):
    one, other = (process({"requests_per_minute": 6000, "burst_size": 50}) for _ in range(2))
    await one.charge()
    await other.charge()
    now = MONOTONIC.now()
    one.limits[0].pause_until(now + 30, now)
    one.ledger.pause(one.limits[0], 30)
    await asyncio.sleep(0.1)
    _, wait = await other.reserve()
    assert wait == pytest.approx(30, abs=0.5)
    assert other.limits[0].paused_until == pytest.approx(now + 30, abs=0.2)


async def test_permits_of_a_process_that_died_lapse(process, monkeypatch):
    monkeypatch.setattr("gatewright.layers.rate_limiter.shared.LEASE", 0.2)
    dying, other = (process({"max_concurrent": 1}) for _ in range(2))
    await dying.charge()
    assert await other.reserve() == (other.limits[0], math.inf)
    dying.ledger.abandon(forked=True)  # nothing is heard of it any more
    await asyncio.sleep(0.3)
    await other.charge()


async def test_what_was_under_way_on_a_loop_that_ended_is_given_back_with_the_next_question(process):
    one, other = (process({"max_concurrent": 1, "tokens_per_minute": SLOW, "burst_tokens": 10}) for _ in range(2))
    (await one.charge(4)).settle(1, MONOTONIC.now())
    await one.charge(4)
    one.ledger.abandon()  # as its limiter does, which voids the permits too
    one.limits[0].in_flight = 0
    await one.charge(5)
    assert one.limits[0].tokens.level(MONOTONIC.now()) == pytest.approx(10 - 1 - 4 - 5, abs=0.1)
    assert await other.reserve() == (other.limits[0], math.inf)


async def test_a_forked_child_gives_back_nothing_of_its_parents_and_is_told_apart_from_it(process):
    one, other = (process({"max_concurrent": 2, "tokens_per_minute": SLOW, "burst_tokens": 10}) for _ in range(2))
    (await one.charge(4)).settle(1, MONOTONIC.now())
    held = await one.charge(4)
    parents = held.name[:8]
    one.ledger.abandon(forked=True)
    one.limits[0].in_flight = 0
    assert (await one.charge(1)).name[:8] != parents
    # The parent's permit is still taken, and two are all that there are.
    assert await other.reserve(1) == (other.limits[0], math.inf)


async def test_permits_are_renewed_and_remembered_after_a_flush(process, monkeypatch, redis_server):
    monkeypatch.setattr("gatewright.layers.rate_limiter.leases.RENEWAL", 0.05)
    holder, other = (process({"max_concurrent": 1}) for _ in range(2))
    await holder.charge()
    redis_server.ask("FLUSHALL")
    await asyncio.sleep(0.2)
    assert await other.reserve() == (other.limits[0], math.inf)


async def test_what_redis_forgets_it_is_told_again(process, redis_server):
    one = process({"requests_per_minute": SLOW, "burst_size": 3})
    for _ in range(3):
        await one.charge()
    redis_server.ask("FLUSHALL")
    assert not isinstance(await one.reserve(), Permit)


async def test_a_caller_that_is_cancelled_is_charged_nothing(process):
    one = process({"requests_per_minute": SLOW, "burst_size": 2, "max_concurrent": 2})
    asking = asyncio.create_task(one.reserve())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.1)
    await one.charge()
    await one.charge()
    assert one.limits[0].in_flight == 2


async def test_one_admission_is_one_command_and_a_settlement_none_that_is_awaited(process, redis_server):
    shape = {"requests_per_minute": 60_000, "tokens_per_minute": 6_000_000, "max_concurrent": 100}
    one = process(shape, shape, shape, shape)
    (await one.charge()).settle(1, MONOTONIC.now())
    await asyncio.sleep(0.05)
    redis_server.ask("CONFIG", "RESETSTAT")
    for _ in range(20):
        (await one.charge(10)).settle(5, MONOTONIC.now())
    await asyncio.sleep(0.05)
    # Each charge takes the settlement of the one before along; only the last one's goes by itself.
    assert redis_server.calls("evalsha") == 21
    assert redis_server.calls("script") == 0


async def test_idle_keys_go_away(process, redis_server):
    one = process({"requests_per_minute": 60_000, "max_concurrent": 1})
    (await one.charge()).settle(1, MONOTONIC.now())
    await asyncio.sleep(1.5)
    assert redis_server.ask("DBSIZE") == b":0\r\n"


async def test_a_limit_of_another_kind_in_one_process_does_not_keep_it_from_being_refilled(process):
    one = process({"tokens_per_minute": 6_000_000})
    other = process({"requests_per_minute": 60 * 20, "burst_size": 2})
    for who in (other, one, other):
        await who.charge()
    assert not isinstance(await other.reserve(), Permit)
    for _ in range(30):
        (await one.charge()).settle(2, MONOTONIC.now())
        await asyncio.sleep(0.01)
    await other.charge()
    await other.charge()
    assert not isinstance(await other.reserve(), Permit)


async def test_limits_of_which_each_process_knows_another_kind_hold(process):
    tokens = process({"tokens_per_minute": SLOW, "burst_tokens": 100})
    requests = process({"requests_per_minute": SLOW, "burst_size": 4})
    for _ in range(4):
        await requests.charge(1000)
        await tokens.charge(25)
        await asyncio.sleep(0.02)
    assert not isinstance(await tokens.reserve(1), Permit)
    assert not isinstance(await requests.reserve(), Permit)


async def test_a_pause_said_by_a_process_that_limits_another_kind_costs_no_more_than_itself(process):
    one = process({"tokens_per_minute": 6_000_000})
    other = process({"requests_per_minute": 60 * 20, "burst_size": 2})
    for _ in range(10):  # each writes what it limits as of the beginning
        await one.charge()
        await asyncio.sleep(0.06)
        await other.charge()
    now = MONOTONIC.now()
    one.limits[0].pause_until(now + 0.3, now)
    one.ledger.pause(one.limits[0], 0.3)
    await asyncio.sleep(0.1)
    assert not isinstance(await other.reserve(), Permit)
    await asyncio.sleep(0.35)
    await other.charge()
    await other.charge()
    assert not isinstance(await other.reserve(), Permit)
