"""The layer against scripted handlers: every call's outcome is told, once, and no call of the gateway's own counts."""

import asyncio

import pytest

from gatewright.errors import (
    BadRequest,
    CallCancelled,
    ConnectionFailed,
    DeadlineExceeded,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.layers.circuit_breaker.layer import CircuitBreakerLayer
from gatewright.pipeline.events import Events
from gatewright.testing import FakeClock, ScriptedProvider

from .doubles import CONFIG, call

DOWN = ConnectionFailed("down")


class Guarded:
    def __init__(self, *script, **settings):
        self.clock = FakeClock()
        self.guard = DeploymentBreaker("a", "acme", CONFIG, clock=self.clock, events=Events(), random=lambda: 0.0)
        self.provider = ScriptedProvider(script, clock=self.clock, **settings)
        self.layer = CircuitBreakerLayer(self.guard, self.clock)

    def __call__(self, **settings):
        return self.layer(call(**settings), self.provider)

    @property
    def counts(self):
        status = self.guard.breaker.status(self.clock.now())
        return status.succeeded, status.failed

    async def open(self):
        done = len(self.provider.calls)
        self.provider._script[done:done] = [DOWN, DOWN]
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                await self()
        assert self.guard.breaker.state == "open"


async def test_whole_answers_and_failures_are_counted_once():
    guarded = Guarded("one", DOWN, "two")
    async with await guarded() as reply:
        await reply.value()
    with pytest.raises(ConnectionFailed):
        await guarded()
    async with await guarded():
        pass
    assert guarded.counts == (2, 1)


@pytest.mark.parametrize("error", [BadRequest("no"), CallCancelled("no"), DeadlineExceeded("no"), ValueError("no")])
async def test_what_is_not_the_deployments_fault_is_not_counted(error):
    guarded = Guarded(error)
    with pytest.raises(type(error)):
        await guarded()
    assert guarded.counts == (0, 0)


async def test_what_the_gateways_own_limits_refused_is_not_counted():
    refused = RateLimited("the gateway's own limit")
    refused.asked = False
    guarded = Guarded(refused, refused, refused)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await guarded()
        await guarded.clock.advance(CONFIG.rate_limit_persistence)
    assert guarded.counts == (0, 0)


async def test_a_stream_is_judged_at_its_end():
    guarded = Guarded(["a", "b"], ["a", DOWN], ["a", BadRequest("cut")])
    reply = await guarded(stream=True)
    assert guarded.counts == (0, 0)
    await reply.value()
    assert guarded.counts == (1, 0)
    for expected, counts in ((ConnectionFailed, (1, 1)), (BadRequest, (1, 1))):
        reply = await guarded(stream=True)
        with pytest.raises(expected):
            await reply.value()
        assert guarded.counts == counts


async def test_a_stream_that_its_reader_left_is_no_verdict():
    guarded = Guarded(["a", "b", "c"])
    async with await guarded(stream=True) as reply:
        await anext(reply)
    assert reply.outcome.state == "abandoned"
    assert guarded.counts == (0, 0)


async def test_an_open_breaker_refuses_with_the_time_of_the_next_probe():
    guarded = Guarded()
    await guarded.open()
    await guarded.clock.advance(4)
    with pytest.raises(ProviderUnavailable, match=r"a is open: it is tried again in 6\.0 s") as raised:
        await guarded()
    assert raised.value.retry_after == 6
    assert raised.value.retryable
    assert not raised.value.asked
    assert len(guarded.provider.calls) == 2
    assert guarded.counts == (0, 2)


async def test_one_that_was_opened_by_hand_knows_no_time():
    guarded = Guarded()
    guarded.guard.breaker.open_by_hand(guarded.clock.now())
    with pytest.raises(ProviderUnavailable, match="by hand") as raised:
        await guarded()
    assert raised.value.retry_after is None


async def test_a_probe_that_is_cancelled_makes_room_for_another():
    guarded = Guarded("never", "two", "three", gate=asyncio.Event())
    guarded.provider._gate.set()
    await guarded.open()
    guarded.provider._gate.clear()
    await guarded.clock.advance(10)
    probe = asyncio.ensure_future(guarded())
    await asyncio.sleep(0)
    with pytest.raises(ProviderUnavailable, match="half open"):
        await guarded()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    guarded.provider._gate.set()
    for _ in range(2):
        await (await guarded()).value()
    assert guarded.guard.breaker.state == "closed"


async def test_a_probes_stream_is_a_success_at_its_first_chunk_and_is_not_counted_again():
    guarded = Guarded(["a", "b"], ["a", "b"], "then")
    await guarded.open()
    await guarded.clock.advance(10)
    first = await guarded(stream=True)
    assert guarded.guard.breaker.state == "half_open"
    await first.value()
    assert guarded.guard.breaker.state == "half_open"  # its end is no second success
    second = await guarded(stream=True)
    assert guarded.guard.breaker.state == "closed"
    await second.aclose()
    assert guarded.counts == (0, 0)


async def test_a_call_of_before_neither_opens_nor_closes():
    guarded = Guarded(["a", DOWN], ["a", "b"])
    late_failure, late_success = await guarded(stream=True), await guarded(stream=True)
    await guarded.open()
    await late_success.value()
    assert guarded.guard.breaker.state == "open"
    guarded.guard.breaker.reset(guarded.clock.now())
    with pytest.raises(ConnectionFailed):
        await late_failure.value()
    assert guarded.counts == (0, 0)


async def test_whoever_waits_is_woken_by_a_change_or_by_the_time():
    guarded = Guarded()
    await guarded.open()
    guard, clock = guarded.guard, guarded.clock
    waiting = [asyncio.ensure_future(guard.wait(10)) for _ in range(3)]
    waiting[0].cancel()
    await clock.advance(1)
    assert [one.done() for one in waiting] == [True, False, False]
    guard.breaker.close_by_hand(clock.now())
    await asyncio.wait(waiting)
    timed = asyncio.ensure_future(guard.wait(5))
    await clock.advance(5)
    assert timed.done()
    assert clock.sleepers == 0
    assert not guard.waiting
