"""The limiter over a real Redis: who waits, who is refused, and that nothing is left over."""

import asyncio
import random

import pytest

from gatewright.errors import GatewayClosed, RateLimited
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limiter import RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.layers.rate_limiter.shared import SharedLedger
from gatewright.storage.redis import RedisStore
from gatewright.types.limits import ProviderLimits


class Process:
    def __init__(self, server):
        self.store = RedisStore(server.url, patience=2.0)
        self.limiter = RateLimiter(shared=SharedLedger(self.store))

    def configure(self, scope="global", name="", **config):
        self.limiter.configure(scope, name, RateLimitConfig(**config))
        return self

    def admit(self, tokens=1, tenant="t", deadline=None, deployment=None):
        claim = Claim(call_id="c", tokens=tokens, tenant=tenant, model="m", deadline=deadline, deployment=deployment)
        return self.limiter.admit(claim)

    async def aclose(self):
        await self.limiter.aclose()
        await self.store.aclose()


@pytest.fixture
async def process(redis_server):
    made = []

    def make(**config):
        made.append(Process(redis_server).configure(**config))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


def now():
    return asyncio.get_running_loop().time()


async def test_a_call_waits_for_what_another_process_took(process):
    one, other = (process(requests_per_minute=600, burst_size=1) for _ in range(2))
    began = now()
    await one.admit()
    await other.admit()
    await one.admit()
    assert now() - began >= 0.19
    assert one.limiter.waiting == 0


async def test_a_call_waits_for_a_permit_of_another_process(process):
    one, other = (process(max_concurrent=1) for _ in range(2))
    permit = await one.admit()
    waiting = asyncio.create_task(other.admit())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    permit.settle(1)
    await asyncio.wait_for(waiting, 0.5)


async def test_a_large_call_has_its_turn_before_the_small_ones_of_another_process(process):
    small, large = (process(tokens_per_minute=12_000, burst_tokens=200) for _ in range(2))
    await small.admit(200)
    went = 0

    async def ask_for_all_that_comes_in():
        nonlocal went
        while True:
            (await small.admit(10)).settle(10)
            went += 1

    others = asyncio.create_task(ask_for_all_that_comes_in())
    try:
        for _ in range(3):
            (await asyncio.wait_for(large.admit(60), 2.0)).settle(60)
    finally:
        others.cancel()
    assert went >= 3  # nor does the large one keep them away


async def test_calls_that_do_not_wait_are_refused_at_once_with_the_time(process):
    one, other = (process(requests_per_minute=6, burst_size=1, enable_queuing=False) for _ in range(2))
    await one.admit()
    with pytest.raises(RateLimited) as caught:
        await other.admit()
    assert caught.value.retry_after == pytest.approx(10, abs=0.5)


async def test_permits_for_which_calls_do_not_wait(process):
    one, other = (process(max_concurrent=1, enable_queuing=False) for _ in range(2))
    await one.admit()
    with pytest.raises(RateLimited):
        await other.admit()
    assert other.limiter.is_idle


async def test_a_queue_timeout_and_a_deadline_end_the_waiting(process):
    one, other = (process(max_concurrent=1, queue_timeout=0.2) for _ in range(2))
    await one.admit()
    with pytest.raises(RateLimited):
        await other.admit()
    with pytest.raises(RateLimited):
        await asyncio.gather(*(other.admit(tenant=f"t{n}") for n in range(20)))
    await asyncio.sleep(0.3)
    assert other.limiter.is_idle


async def test_a_call_that_cannot_go_in_time_for_other_processes_calls_is_refused_at_once(process):
    one, two, other = (process(requests_per_minute=120, burst_size=1) for _ in range(3))
    await one.admit()
    waiting = [asyncio.create_task(each.admit()) for each in (one, two) for _ in range(20)]
    await asyncio.sleep(0.4)  # they have asked again, and are known to wait
    mine = [asyncio.create_task(other.admit(deadline=now() + 30)) for _ in range(4)]
    await asyncio.sleep(0.4)
    began = now()
    with pytest.raises(RateLimited, match="has less time"):  # two seconds for its own, and turns of the others between
        await other.admit(deadline=now() + 4)
    assert now() - began < 1.0
    for call in (*waiting, *mine):
        call.cancel()
    await asyncio.wait((*waiting, *mine))
    await asyncio.sleep(1.2)  # nobody waits any more, and that is known after a second
    await other.admit()
    call = asyncio.create_task(other.admit(deadline=now() + 4))
    assert (await call).settle(1)


async def test_a_raised_limit_lets_waiting_calls_go(process):
    one = process(requests_per_minute=0.1, burst_size=1)
    await one.admit()
    waiting = asyncio.create_task(one.admit())
    await asyncio.sleep(0.1)
    one.configure(requests_per_minute=60_000, burst_size=10)
    await asyncio.wait_for(waiting, 1.0)


async def test_a_provider_s_word_holds_for_all(process):
    one, other = (process() for _ in range(2))
    for who in (one, other):
        who.configure("deployment", "d", requests_per_minute=60_000, queue_timeout=0.5)
        await who.admit(deployment="d")
    one.limiter.correct("d", ProviderLimits(remaining_requests=0))
    one.limiter.pause("d", one.limiter.now() + 30)
    await asyncio.sleep(0.1)
    with pytest.raises(RateLimited) as caught:
        await other.admit(deployment="d")
    assert caught.value.retry_after == pytest.approx(30, abs=1)


async def test_where_nothing_is_limited_redis_is_not_asked(process):
    one = process()
    one.limiter.configure("global", "", None)
    permit = await one.admit()
    assert permit.settle(5)
    assert one.store.status().state == "unused"


async def test_closing_ends_those_who_wait(process):
    one = process(max_concurrent=1)
    await one.admit()
    waiting = asyncio.create_task(one.admit())
    await asyncio.sleep(0.05)
    await one.limiter.aclose()
    with pytest.raises(GatewayClosed):
        await waiting


async def storm(one, rng, seconds):
    """Make calls of several tenants that end in every way, and cancel some at any moment."""

    async def call():
        try:
            permit = await one.admit(tokens=rng.randint(1, 20), tenant=f"t{rng.randint(0, 4)}")
        except RateLimited:
            return
        try:
            await asyncio.sleep(rng.random() * 0.01)
        finally:
            permit.settle(rng.choice([None, 0, 5, 30])) if rng.random() < 0.7 else permit.cancel()

    tasks = []
    until = now() + seconds
    while now() < until:
        tasks.append(asyncio.create_task(call()))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        await asyncio.sleep(rng.random() * 0.004)
    await asyncio.gather(*tasks, return_exceptions=True)
    return tasks


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_nothing_is_left_over(process, redis_server, seed):
    rng = random.Random(seed)
    shape = {"requests_per_minute": 12_000, "burst_size": 5, "tokens_per_minute": 120_000, "burst_tokens": 50}
    everyone = [process(**shape, max_concurrent=3, queue_timeout=0.3) for _ in range(3)]
    for one in everyone:
        one.configure("tenant", "*", requests_per_minute=6000, burst_size=3, queue_timeout=0.3)
    for tasks in await asyncio.gather(*(storm(one, rng, 1.5) for one in everyone)):
        assert [task.exception() for task in tasks if not task.cancelled() and task.exception()] == []
    await asyncio.sleep(0.4)
    for one in everyone:
        assert one.limiter.is_idle
        assert all(level.in_flight == 0 for level in one.limiter.levels())
        assert one.store.status().outages == 0
    assert redis_server.ask("EXISTS", "{gatewright}:permits:global:") == b":0\r\n"
    for one in everyone:
        one.configure(max_concurrent=3, queue_timeout=0.1)
    await asyncio.gather(*(one.admit() for one in everyone))
    with pytest.raises(RateLimited):
        await everyone[0].admit()


@pytest.mark.parametrize("seed", range(2))
async def test_calls_at_several_deployments_leave_nothing_over_though_redis_comes_and_goes(process, redis_server, seed):
    rng = random.Random(seed)
    everyone = [process(requests_per_minute=60_000) for _ in range(2)]
    for one in everyone:
        one.store._patience = 0.09
        one.configure("deployment", "a", max_concurrent=2, queue_timeout=3)
        one.configure("deployment", "b", max_concurrent=1, requests_per_minute=6000, burst_size=2, queue_timeout=3)
    under_way = {"a": 0, "b": 0}

    async def call(one):
        names = rng.sample(["a", "b"], rng.randint(1, 2))
        claims = [Claim(call_id="c", tokens=1, tenant=rng.choice("xyz"), model="m", deployment=name) for name in names]
        try:
            claim, permit = await one.limiter.admit_to_any(claims)
        except RateLimited:
            return
        under_way[claim.deployment] += 1
        try:
            await asyncio.sleep(rng.random() * 0.01)
        finally:
            under_way[claim.deployment] -= 1
            permit.settle(1)

    tasks = []
    for step in range(300):
        tasks.append(asyncio.create_task(call(rng.choice(everyone))))
        if rng.random() < 0.2:
            rng.choice(tasks).cancel()
        if step == 100:
            redis_server.pause()
        if step == 200:
            redis_server.go_on()
        assert under_way["a"] <= 4  # each process by itself while Redis is away
        assert under_way["b"] <= 2
        await asyncio.sleep(rng.random() * 0.004)
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert [task.exception() for task in tasks if not task.cancelled() and task.exception()] == []
    await asyncio.sleep(0.4)
    for one in everyone:
        assert one.limiter.is_idle
        assert all(level.in_flight == 0 for level in one.limiter.levels())
    for name in "ab":
        assert redis_server.ask("EXISTS", f"{{gatewright}}:permits:deployment:{name}") == b":0\r\n"


async def test_removing_the_last_limit_lets_those_go_who_wait(process):
    one = process(requests_per_minute=1, burst_size=1)
    await one.admit()
    waiting = [asyncio.create_task(one.admit()) for _ in range(3)]
    await asyncio.sleep(0.05)
    one.limiter.configure("global", "", None)
    await asyncio.wait_for(asyncio.gather(*waiting), 2)
    assert one.limiter.waiting == 0


async def test_a_process_with_one_call_has_its_turn_at_places_that_another_would_keep(process):
    busy, lone = (process(max_concurrent=1) for _ in range(2))

    async def hold(one):
        permit = await one.admit()
        await asyncio.sleep(0.01)
        permit.settle(1)

    async def keep_busy():
        while True:
            await hold(busy)

    flood = [asyncio.create_task(keep_busy()) for _ in range(20)]
    await asyncio.sleep(0.1)
    began = now()
    for _ in range(5):
        await hold(lone)
    took = now() - began
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert took < 5  # it was for as long as the others had something to do


async def test_calls_go_on_at_their_places_while_redis_is_away(process, redis_server):
    one = process(max_concurrent=2, queue_timeout=5)
    one.store._patience = 0.09

    async def call():
        permit = await one.admit()
        await asyncio.sleep(0.05)
        permit.settle(1)

    await call()
    calls = [asyncio.create_task(call()) for _ in range(12)]
    await asyncio.sleep(0.02)
    redis_server.kill()
    await asyncio.gather(*calls)
    redis_server.start()
    while one.store.is_degraded:
        await asyncio.sleep(0.01)
    await asyncio.gather(*(call() for _ in range(6)))
    assert one.limiter.levels() == [] or one.limiter.levels()[0].in_flight == 0


async def test_places_taken_while_redis_was_away_count_when_it_is_back(process, redis_server):
    one, other = (process(max_concurrent=2, enable_queuing=False) for _ in range(2))
    one.store._patience = 0.09
    redis_server.pause()
    held = [await one.admit() for _ in range(2)]
    assert one.store.is_degraded
    redis_server.go_on()
    while one.store.is_degraded:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    for process_ in (one, other):
        with pytest.raises(RateLimited):
            await process_.admit()
    for permit in held:
        permit.settle(1)
    await asyncio.sleep(0.1)
    (await other.admit()).settle(1)


async def test_what_was_let_through_while_redis_was_away_is_charged_when_it_is_back(process, redis_server):
    one = process(requests_per_minute=60, burst_size=10, enable_queuing=False)
    one.store._patience = 0.09
    (await one.admit()).settle(1)
    redis_server.pause()
    for _ in range(5):
        (await one.admit()).settle(1)
    redis_server.go_on()
    while one.store.is_degraded:
        await asyncio.sleep(0.01)
    admitted = 0
    with pytest.raises(RateLimited):
        while True:
            (await one.admit()).settle(1)
            admitted += 1
    assert admitted <= 6  # 4, and what came in since
