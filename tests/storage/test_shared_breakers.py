"""Several processes' breakers over one real Redis, in one loop."""

import asyncio

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import ConnectionFailed, ProviderUnavailable
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
        self.shared.start()
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


async def asked(one):
    """Give the pass of a call that asks now, or 0."""
    try:
        return one.allow() if one.state == "closed" else await one.guard.probe()
    except ProviderUnavailable:
        return 0


async def probe(one, seconds=3.0):
    """Ask until a probe may go, as calls do."""
    async with asyncio.timeout(seconds):
        while not (permit := await asked(one)):
            await asyncio.sleep(0.02)
    return permit


async def open_and_due(everyone):
    """Have a breaker open everywhere, and its open time end."""
    opened(everyone[0])
    await until(lambda: all(one.state == "open" for one in everyone), 1.0)
    await until(lambda: all(one.guard.breaker.open_until < MONOTONIC.now() for one in everyone))


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


@pytest.mark.parametrize("most", [1, 2])
async def test_all_processes_together_have_no_more_probes_under_way_than_one_may(processes, most):
    everyone = await processes(4, CONFIG.model_copy(update={"half_open_probes": most}))
    await open_and_due(everyone)
    passes = []
    for _ in range(30):
        permits = await asyncio.gather(*map(asked, everyone))
        passes += [(one, permit) for one, permit in zip(everyone, permits, strict=True) if permit]
        await asyncio.sleep(0.01)
    assert len(passes) == most


async def test_the_probes_of_all_processes_close_it_and_none_of_them_waits(processes):
    everyone = await processes(3, CONFIG.model_copy(update={"success_threshold": 3}))
    await open_and_due(everyone)
    for one in everyone:
        permit = await asked(one)
        assert permit  # at the first time of asking
        one.succeed(permit)
    assert everyone[-1].state == "closed"
    assert await asked(everyone[0])  # who has not heard of it does so now
    assert everyone[0].state == "closed"
    await until(lambda: all(one.state == "closed" for one in everyone), 1.0)


async def test_successes_at_the_same_time_add_up(processes):
    one, other = await processes(2, CONFIG.model_copy(update={"half_open_probes": 2}))
    await open_and_due([one, other])
    permits = [await probe(one), await probe(other)]
    one.succeed(permits[0])
    other.succeed(permits[1])
    await until(lambda: one.state == other.state == "closed", 1.0)


async def test_a_process_with_few_calls_probes_with_each_of_them(processes):
    (one,) = await processes(1)
    await open_and_due([one])
    for _ in range(2):
        await asyncio.sleep(0.3)
        permit = await asked(one)
        assert permit
        one.succeed(permit)
    assert one.state == "closed"


async def test_what_came_of_a_probe_from_before_it_opened_again_does_not_count(processes):
    one, other = await processes(2, CONFIG.model_copy(update={"half_open_probes": 2}))
    await open_and_due([one, other])
    late = await probe(one)
    other.fail(await probe(other))
    one.succeed(late)
    await until(lambda: one.state == other.state == "open", 1.0)
    one.succeed(await probe(one))
    assert one.state == "half_open"


async def test_what_redis_forgot_closes_nothing_and_counts_anew(processes, redis_server):
    one, other = await processes(2)
    await open_and_due([one, other])
    one.succeed(await probe(one))
    redis_server.ask("FLUSHALL")
    permit = await probe(other)
    assert other.state == "half_open"
    other.succeed(permit)
    assert other.state == "half_open"
    one.succeed(await probe(one))
    assert one.state == "closed"
    await until(lambda: other.state == "closed", 1.0)


async def test_a_probe_without_a_verdict_makes_place_for_one_of_another_process(processes):
    one, other = await processes(2)
    await open_and_due([one, other])
    one.guard.given_up(await asked(one))
    assert await asked(other)


async def test_a_call_that_is_cancelled_while_it_asks_makes_place_for_another(processes):
    one, other = await processes(2)
    await open_and_due([one, other])
    asking = asyncio.ensure_future(one.guard.probe())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))
    assert asking.cancelled()
    assert await asked(other)


async def test_a_process_that_dies_with_a_probe_under_way_keeps_nobody_from_probing(processes, monkeypatch):
    monkeypatch.setattr("gatewright.layers.circuit_breaker.probes.BELIEVED_SECONDS", 1.0)
    dead, other = await processes(2)
    await open_and_due([dead, other])
    assert await asked(dead)
    dead.shared.close()
    assert not await asked(other)
    assert await probe(other)


async def test_a_probe_that_takes_its_time_keeps_its_place(processes, monkeypatch):
    monkeypatch.setattr("gatewright.layers.circuit_breaker.probes.BELIEVED_SECONDS", 1.2)
    one, other = await processes(2)
    await open_and_due([one, other])
    assert await asked(one)
    with pytest.raises(TimeoutError):
        await probe(other, 2.5)


async def test_a_silent_probe_is_given_up_by_all(processes):
    one, other = await processes(2, CONFIG.model_copy(update={"probe_timeout": 1.0}))
    await open_and_due([one, other])
    assert await asked(one)
    assert not await asked(other)
    assert await probe(other)


async def test_a_redis_that_stands_still_keeps_no_probe_waiting(processes, redis_server):
    one, other = await processes(2)
    await open_and_due([one, other])
    redis_server.pause()
    async with asyncio.timeout(1.0):
        assert await asked(one)
        assert await asked(other)
    redis_server.go_on()


async def test_a_failed_probe_keeps_it_open_for_all_and_longer(processes):
    one, other = await processes(2)
    opened(one)
    await until(lambda: other.state == "open", 1.0)
    one.fail(await probe(one))
    await until(lambda: other.guard.breaker.openings == 2, 1.0)
    assert other.guard.breaker.open_until == pytest.approx(one.guard.breaker.open_until, abs=0.1)


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
    await until(lambda: other.state == "open", 1.0)
    waiting = asyncio.ensure_future(other.guard.wait(60.0))
    one.registry.open("a")
    await until(lambda: other.registry.status()[0].by_hand, 1.5)
    await until(waiting.done)  # and looks again


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


@pytest.mark.parametrize("act", ["close", "reset"])
@pytest.mark.parametrize("how", ["stands still", "forgets"])
async def test_what_a_hand_closes_while_redis_is_away_is_closed_by_all_after(processes, redis_server, how, act):
    """In the second case the others tell first of the opening, which Redis has forgotten."""
    one, other = await processes(2)
    one.registry.open("a")
    await until(lambda: other.state == "open", 1.0)
    redis_server.pause() if how == "stands still" else redis_server.kill()
    await until(lambda: one.store.is_degraded and other.store.is_degraded)
    getattr(one.registry, act)("a")
    redis_server.go_on() if how == "stands still" else redis_server.start()
    await until(lambda: one.state == other.state == "closed", 5.0)
    await asyncio.sleep(1.2)
    (late,) = await processes(1)
    await asyncio.sleep(0.3)
    assert one.state == other.state == late.state == "closed"


async def test_an_older_word_that_is_told_late_opens_nothing(processes, redis_server):
    one, other = await processes(2)
    one.registry.open("a")
    await until(lambda: other.state == "open", 1.0)
    other.shared.close()  # it hears no more
    one.registry.close("a")
    await asyncio.sleep(0.3)
    redis_server.ask("FLUSHALL")
    await asyncio.sleep(1.2)
    other.shared.start()
    await until(lambda: other.state == "closed")
    assert one.state == "closed"
    assert not any(event.after == "open" for event in one.heard[2:])


async def test_what_was_opened_by_hand_closed_and_opened_again_while_redis_is_away_is_open_for_a_while(
    processes, redis_server
):
    one, other = await processes(2, CONFIG.model_copy(update={"timeout": 30.0}))
    one.registry.open("a")
    await until(lambda: other.state == "open", 1.0)
    redis_server.pause()
    await until(lambda: one.store.is_degraded and other.store.is_degraded)
    one.registry.close("a")
    opened(one)
    redis_server.go_on()
    await until(lambda: not any(side.registry.status()[0].by_hand for side in (one, other)), 5.0)
    assert one.state == other.state == "open"


async def test_what_probes_close_while_redis_is_away_is_closed_by_all_after(processes, redis_server):
    one, other = await processes(2)
    await open_and_due([one, other])
    redis_server.pause()
    await until(lambda: one.store.is_degraded and other.store.is_degraded)
    one.succeed(await probe(one))
    one.succeed(await probe(one))
    assert one.state == "closed"
    redis_server.go_on()
    await until(lambda: other.state == "closed", 5.0)


@pytest.mark.parametrize("act", ["close", "reset"])
async def test_a_hand_closes_what_its_process_has_not_heard_of(processes, act):
    one, other = await processes(2)
    one.registry.open("a")
    getattr(other.registry, act)("a")  # it is closed there still
    await asyncio.sleep(0.1)
    assert one.heard[-1].after == "open"
    getattr(other.registry, act)("a")
    await until(lambda: one.state == other.state == "closed", 3.0)
    await asyncio.sleep(0.6)
    assert one.state == other.state == "closed"
