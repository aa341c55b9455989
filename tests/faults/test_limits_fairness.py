"""One tenant's flood against the others' small loads, in simulated time."""

import asyncio
import random

import pytest

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig, RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.testing import FakeClock

PER_SECOND = 10
SLOT = 1.0 / PER_SECOND
LIMIT = RateLimitConfig(requests_per_minute=60 * PER_SECOND, burst_size=1, queue_timeout=60.0, max_queue_size=5_000)


def poisson(rng, rate, seconds):
    now = 0.0
    while (now := now + rng.expovariate(rate)) < seconds:
        yield now


def bursts(size, every, offset, seconds):
    return [start + offset for start in range(0, int(seconds), every) for _ in range(size)]


async def waits(arrivals, config=LIMIT, tokens=10):
    """Give each tenant's waiting times, refused calls left out."""
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.configure("global", "", config)
    waited = {tenant: [] for tenant in arrivals}

    async def call(tenant, number):
        began = clock.now()
        try:
            permit = await limiter.admit(Claim(call_id=f"{tenant}{number}", tokens=tokens, tenant=tenant))
        except RateLimited:
            return
        waited[tenant].append(clock.now() - began)
        permit.settle(tokens)

    everything = sorted((at, tenant) for tenant, times in arrivals.items() for at in times)
    tasks = []
    start = clock.now()
    for number, (at, tenant) in enumerate(everything):
        if (ahead := start + at - clock.now()) > 0:
            await clock.advance(ahead)
        tasks.append(asyncio.create_task(call(tenant, number)))
    await clock.advance(120.0)
    await asyncio.gather(*tasks)
    assert limiter.is_idle
    return waited


def p95(values):
    return sorted(values)[int(0.95 * (len(values) - 1))]


@pytest.mark.parametrize("seed", range(2))
async def test_bursts_wait_at_most_twice_as_long_beside_a_flood_of_a_hundred_times_as_much(seed):
    load = {"b": bursts(20, 10, 0.5 + 0.013 * seed, 40), "c": bursts(20, 10, 5.5, 40)}
    flood = list(poisson(random.Random(seed), 200.0, 40))
    among = await waits({"a": flood, **load})
    for tenant in "bc":
        alone = await waits({tenant: load[tenant]})
        assert len(among[tenant]) == len(load[tenant])
        assert p95(alone[tenant]) > 1.5
        assert p95(among[tenant]) <= 2 * p95(alone[tenant])


@pytest.mark.parametrize("seed", range(2))
async def test_bursts_that_come_together_wait_at_most_twice_as_long_as_without_the_flood(seed):
    load = {"b": bursts(20, 10, 0.5 + 0.013 * seed, 40), "c": bursts(20, 10, 0.517, 40)}
    among = await waits({"a": list(poisson(random.Random(seed), 200.0, 40)), **load})
    alone = await waits(load)
    for tenant in "bc":
        assert len(among[tenant]) == len(load[tenant])
        assert p95(among[tenant]) <= 2 * p95(alone[tenant])


@pytest.mark.parametrize("seed", range(2))
async def test_calls_that_find_room_when_alone_wait_for_the_next_turn_beside_a_flood(seed):
    rng = random.Random(seed)
    load = {tenant: list(poisson(rng, 1.0, 40)) for tenant in "bc"}
    among = await waits({"a": list(poisson(rng, 100.0, 40)), **load})
    for tenant in "bc":
        alone = await waits({tenant: load[tenant]})
        assert len(among[tenant]) == len(load[tenant])
        # The turn that is next is taken, whoever comes, and the other small load may come before it.
        assert p95(among[tenant]) <= 2 * p95(alone[tenant]) + 2 * SLOT


async def test_the_flood_itself_gets_what_the_others_leave():
    load = {"b": bursts(20, 10, 0.5, 40)}
    among = await waits({"a": list(poisson(random.Random(7), 100.0, 40)), **load})
    assert len(among["a"]) >= 40 * PER_SECOND - len(load["b"]) - 1


async def test_a_flood_of_large_calls_is_measured_in_tokens():
    config = RateLimitConfig(tokens_per_minute=60_000, burst_tokens=1000, queue_timeout=600.0)
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.configure("global", "", config)
    went = []

    async def call(tenant, tokens):
        permit = await limiter.admit(Claim(call_id=tenant, tokens=tokens, tenant=tenant))
        went.append((tenant, tokens))
        permit.settle(tokens)

    tasks = [asyncio.create_task(call("a", 1000)) for _ in range(50)]
    tasks += [asyncio.create_task(call("b", 100)) for _ in range(50)]
    await clock.advance(9.0)
    tokens = {tenant: sum(size for who, size in went if who == tenant) for tenant in "ab"}
    assert abs(tokens["a"] - tokens["b"]) <= 2000
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.is_idle
