"""Breakers under the real router: an open one costs no waiting, probes are bounded, and no call is lost."""

import asyncio

import pytest

from gatewright.errors import ConnectionFailed, ProviderUnavailable
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.retries import RetryConfig
from gatewright.pipeline.events import AttemptEnded, StreamEnded
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Chunk

from .doubles import Routed, call, deployment

DOWN = ConnectionFailed("down")
ONE, TWO = deployment("one", order=0), deployment("two", order=1)
OTHER = deployment("other", group="other")
NO_RETRIES = RetryConfig(max_retries=0)


async def opened(routed, name="one"):
    """Have the breaker of `name` open by failures of its own."""
    upstream = routed.upstreams[name]
    upstream.error = DOWN
    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            await routed.handlers[name](call(clock=routed.clock))
    assert routed.breakers.free_at(name, routed.clock.now()) == routed.clock.now() + 10
    return upstream


async def test_the_next_deployment_answers_and_the_open_one_is_not_asked():
    routed = Routed(ONE, TWO)
    upstream = await opened(routed)
    asked = upstream.asked
    for _ in range(20):
        await routed.ask()
    assert (upstream.asked, routed.clock.now(), routed.clock.sleepers) == (asked, 1000.0, 0)


async def test_a_fallback_model_answers_without_waiting():
    routed = Routed(ONE, OTHER, fallbacks=Fallbacks(by_model={"model": ["other"]}), retries=NO_RETRIES)
    upstream = await opened(routed)
    asked = upstream.asked
    answer = await routed.ask()
    assert (answer.choices[0].text, upstream.asked, routed.clock.now()) == ("model", asked, 1000.0)
    assert routed.upstreams["other"].asked == 1


async def test_the_failure_that_opens_it_falls_back_at_once_too():
    routed = Routed(ONE, OTHER, fallbacks=Fallbacks(by_model={"model": ["other"]}), retries=RetryConfig(base=0.0))
    routed.upstreams["one"].error = DOWN
    for _ in range(3):
        await routed.ask()
    assert routed.clock.now() == 1000.0
    assert routed.upstreams["other"].asked == 3


async def test_when_all_are_open_a_call_waits_for_the_probe():
    routed = Routed(ONE, OTHER, fallbacks=Fallbacks(by_model={"model": ["other"]}), retries=NO_RETRIES)
    upstream = await opened(routed)
    await routed.clock.advance(1)
    await opened(routed, "other")
    upstream.error = None
    waiting = routed.ask()
    await routed.clock.advance(8.9)
    assert not waiting.done()
    await routed.clock.advance(0.1)
    assert (await waiting).choices[0].text == "model"


async def test_one_whose_deadline_is_sooner_is_told_the_time_at_once():
    routed = Routed(ONE, retries=NO_RETRIES)
    upstream = await opened(routed)
    asked = upstream.asked
    await routed.clock.advance(4)
    with pytest.raises(ProviderUnavailable, match=r"no deployment of model can be asked for the next 6\.0 s") as raised:
        await routed.ask(deadline=routed.clock.now() + 5)
    assert raised.value.retry_after == 6
    assert raised.value.attempts == 0
    assert upstream.asked == asked


async def test_one_that_would_wait_for_too_long_is_told_the_time_at_once():
    routed = Routed(ONE, retries=RetryConfig(max_retries=0, max_retry_after=5))
    await opened(routed)
    with pytest.raises(ProviderUnavailable) as raised:
        await routed.ask()
    assert raised.value.retry_after == 10
    assert routed.clock.sleepers == 0


async def test_one_opened_by_hand_is_not_waited_for():
    routed = Routed(ONE)
    routed.breakers.open("one")
    with pytest.raises(ProviderUnavailable, match="at present"):
        await routed.ask()
    waiting = asyncio.gather(routed.ask(), return_exceptions=True)
    assert isinstance((await waiting)[0], ProviderUnavailable)


async def test_calls_that_wait_for_a_probe_end_at_once_when_it_is_opened_by_hand():
    routed = Routed(ONE)
    await opened(routed)
    waiting = [routed.ask() for _ in range(3)]
    await routed.clock.advance(1)
    assert not any(one.done() for one in waiting)
    routed.breakers.open("one")
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(one), one.retry_after) for one in ended] == [(ProviderUnavailable, None)] * 3
    assert routed.clock.sleepers == 0


async def test_of_100_calls_at_once_as_many_as_there_are_probes_try_and_the_others_go_elsewhere():
    routed = Routed(ONE, TWO)
    upstream = await opened(routed)
    upstream.error, upstream.seconds = None, 3.0
    asked = upstream.asked
    await routed.clock.advance(10)
    calls = [routed.ask() for _ in range(100)]
    await routed.clock.advance(0)
    assert upstream.asked == asked + 1
    assert sum(one.done() for one in calls) == 99
    await routed.clock.advance(3)
    assert all(one.done() and not one.exception() for one in calls)


@pytest.mark.parametrize("when", ["open", "half_open"])
async def test_100_calls_at_once_with_nowhere_else_to_go_wait_and_are_all_answered(when):
    routed = Routed(ONE)
    upstream = await opened(routed)
    upstream.error, upstream.seconds = None, 3.5
    asked = upstream.asked
    await routed.clock.advance(5 if when == "open" else 10)
    calls = [routed.ask() for _ in range(100)]
    await routed.clock.advance(5)
    while routed.breakers.status()[0].state == "half_open":
        assert sum(not one.done() for one in calls) >= 99
        assert upstream.asked - asked <= 2
        await routed.clock.advance(0.5)
    await routed.clock.advance(3.5)
    assert [one.result().choices[0].text for one in calls] == ["model"] * 100
    assert upstream.asked == asked + 100
    assert routed.clock.sleepers == 0


async def test_a_probe_that_fails_sends_the_waiting_away_with_the_next_time_or_lets_them_wait_on():
    config = CircuitBreakerConfig(failure_threshold=2, timeout=10, jitter=0)
    routed = Routed(ONE, config=config, retries=RetryConfig(max_retries=0, max_retry_after=25))
    upstream = await opened(routed)
    asked = upstream.asked
    upstream.seconds = 2.0
    calls = [routed.ask() for _ in range(10)]
    await routed.clock.advance(12)
    # One probe, which failed: the breaker is open for twice as long, and 10 + 2 + 20 s is too long to wait.
    assert upstream.asked == asked + 1
    errors = [one.exception() for one in calls]
    assert [type(error) for error in errors].count(ConnectionFailed) == 1
    refused = [error for error in errors if not isinstance(error, ConnectionFailed)]
    assert {(type(error), error.retry_after, error.asked) for error in refused} == {(ProviderUnavailable, 20.0, False)}


async def test_a_refusal_is_no_attempt():
    routed = Routed(ONE)
    upstream = await opened(routed)
    upstream.error, upstream.seconds = None, 0.5
    routed.heard.clear()
    calls = [routed.ask() for _ in range(5)]
    await routed.clock.advance(12)
    assert all(one.done() for one in calls)
    attempts = [event for event in routed.heard if isinstance(event, AttemptEnded)]
    assert [event.error for event in attempts] == [None] * 5
    assert routed.table.find("model").states[0].paused_until == 0.0


async def test_a_stream_tells_of_its_beginning_and_its_end():
    routed = Routed(ONE)

    async def chunks():
        yield [Chunk(text="a")]
        await routed.clock.sleep(2)
        yield [Chunk(text="b")]

    async def streaming(_):
        return await Reply.begin(chunks(), AnswerFold(model="m", provider="acme"))

    routed.handlers["one"] = streaming
    reply = await routed.router(call(clock=routed.clock, stream=True))
    reading = asyncio.ensure_future(reply.value())
    await routed.clock.advance(2)
    assert (await reading).choices[0].text == "ab"
    begun, ended = routed.heard
    assert (type(begun), begun.streamed, begun.seconds) == (AttemptEnded, True, 0.0)
    assert (type(ended), ended.state, ended.seconds, ended.error) == (StreamEnded, "completed", 2.0, None)
