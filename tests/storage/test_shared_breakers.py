"""Several processes' breakers over one real Redis, in one loop."""

import asyncio

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import ConnectionFailed
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.layers.circuit_breaker.shared import SharedBreakers
from gatewright.pipeline.events import Events
from gatewright.storage.redis import RedisStore
from gatewright.types.deployment import Deployment

CONFIG = CircuitBreakerConfig(failure_threshold=2, success_threshold=2, timeout=0.4, jitter=0, half_open_probes=1)


class Process:
    """One process's breakers, and its breaker of the deployment `a`."""

    def __init__(self, server, config=CONFIG):
        self.store = RedisStore(server.url)
        self.shared = SharedBreakers(self.store)
        self.heard = []
        events = Events()
        events.subscribe(self.heard.append)
        self.registry = CircuitBreakers(config, clock=MONOTONIC, events=events, shared=self.shared)
        self.guard = self.registry.of(Deployment(id="a", group="g", provider="p", model="m"))

    @property
    def state(self):
        return self.guard.breaker.state

    def allow(self):
        return self.guard.breaker.allow(MONOTONIC.now())

    def fail(self, permit=None):
        self.guard.failed(permit or self.allow(), ConnectionFailed("down"))

    def succeed(self, permit=None):
        self.guard.succeeded(permit or self.allow())

    async def aclose(self):
        self.shared.close()
        await self.store.aclose()


@pytest.fixture
async def processes(redis_server):
    made = []

    async def make(number, config=CONFIG):
        made.extend(Process(redis_server, config) for _ in range(number))
        for one in made:
            await one.store.open()
        return made[-number:]

    yield make
    for one in made:
        await one.aclose()


async def until(condition, seconds=3.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def probe(one):
    """Ask until a probe may go, as calls do."""
    async with asyncio.timeout(3.0):
        while not (permit := one.allow()):
            await asyncio.sleep(0.02)
    return permit


def opened(one):
    one.fail()
    one.fail()
    assert one.state == "open"


async def test_an_opening_is_heard_of_within_a_second(processes):
    one, other = await processes(2, CONFIG.model_copy(update={"timeout": 30.0}))
    opened(one)
    await until(lambda: other.state == "open", 1.0)
    assert other.guard.breaker.open_until == pytest.approx(one.guard.breaker.open_until, abs=0.1)
    assert other.guard.breaker.openings == 1
    assert other.heard[-1].reason == "elsewhere"
    assert not other.allow()


async def test_a_process_that_begins_later_knows_what_is_open(processes):
    (one,) = await processes(1, CONFIG.model_copy(update={"timeout": 30.0}))
    opened(one)
    await asyncio.sleep(0.1)
    (late,) = await processes(1)
    await until(lambda: late.state == "open", 1.0)


async def test_one_process_probes_at_a_time_and_its_verdict_holds_for_all(processes):
    everyone = await processes(4)
    opened(everyone[0])
    await until(lambda: all(one.state == "open" for one in everyone), 1.0)
    await asyncio.sleep(0.4)
    passes = []
    for _ in range(30):
        passes += [(one, permit) for one in everyone if (permit := one.allow())]
        await asyncio.sleep(0.01)
    assert len(passes) == 1
    prober, permit = passes[0]
    prober.succeed(permit)
    prober.succeed(await probe(prober))
    assert prober.state == "closed"
    await until(lambda: all(one.state == "closed" for one in everyone), 1.0)


async def test_a_failed_probe_keeps_it_open_for_all_and_longer(processes):
    one, other = await processes(2)
    opened(one)
    await until(lambda: other.state == "open", 1.0)
    one.fail(await probe(one))
    await until(lambda: other.guard.breaker.openings == 2, 1.0)
    assert other.guard.breaker.open_until == pytest.approx(one.guard.breaker.open_until, abs=0.1)


async def test_a_process_without_calls_leaves_its_turn_to_another(processes, monkeypatch):
    monkeypatch.setattr("gatewright.layers.circuit_breaker.turns.TURN_SECONDS", 0.6)
    idle, other = await processes(2)
    opened(idle)
    await until(lambda: other.state == "open", 1.0)
    idle.succeed(await probe(idle))
    for _ in range(2):
        other.succeed(await probe(other))
    assert other.state == "closed"
    await until(lambda: idle.state == "closed", 1.5)


async def test_hands_are_heard_of_too(processes):
    one, other = await processes(2)
    one.registry.open("a")
    await until(lambda: other.state == "open", 1.0)
    assert other.registry.status()[0].by_hand
    other.registry.reset("a")
    await until(lambda: one.state == "closed", 1.0)


async def test_a_hand_on_an_open_breaker_is_heard_of(processes):
    one, other = await processes(2)
    opened(one)
    one.registry.open("a")
    await until(lambda: other.registry.status()[0].by_hand, 1.5)


async def test_redis_gone_each_is_by_itself_and_tells_afterwards(processes, redis_server):
    one, other = await processes(2, CONFIG.model_copy(update={"timeout": 1.0}))
    opened(one)
    await until(lambda: other.state == "open", 1.0)
    redis_server.kill()
    await until(lambda: one.store.is_degraded and other.store.is_degraded)
    for _ in range(2):
        one.succeed(await probe(one))
    assert one.state == "closed"
    one.registry.configure(CONFIG.model_copy(update={"timeout": 30.0}))
    opened(one)
    redis_server.start()
    await until(lambda: other.state == "open" and other.guard.breaker.open_until > MONOTONIC.now() + 20, 4.0)


async def test_what_redis_forgets_it_is_told_again(processes, redis_server):
    (one,) = await processes(1, CONFIG.model_copy(update={"timeout": 30.0}))
    opened(one)
    await asyncio.sleep(0.6)
    redis_server.ask("FLUSHALL")
    await asyncio.sleep(1.2)
    (late,) = await processes(1)
    await until(lambda: late.state == "open", 1.0)


async def test_nothing_is_asked_of_redis_for_a_call(processes, redis_server):
    (one,) = await processes(1)
    one.succeed()
    await asyncio.sleep(0.1)
    redis_server.ask("CONFIG", "RESETSTAT")
    for _ in range(1000):
        one.succeed()
    await asyncio.sleep(0.1)
    assert redis_server.calls("evalsha") <= 1
