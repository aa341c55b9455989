"""One deadline for each call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import DeadlineExceeded
from gatewright.layers.deadline import DeadlineLayer
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import stack
from gatewright.testing import FakeClock, ScriptedProvider, Step
from gatewright.types.requests import GenerateRequest

CLOCK = FakeClock()


def call(seconds: float | None, *, stream: bool = False) -> Call:
    now = CLOCK.now()
    deadline = None if seconds is None else now + seconds
    return Call(request=GenerateRequest(model="m"), id="req_1", started_at=now, deadline=deadline, stream=stream)


def layer(*script: Step, **more: Any) -> Any:
    return stack([DeadlineLayer(CLOCK)], ScriptedProvider(script, **more))


async def test_without_one_nothing_is_limited():
    assert (await (await layer("x")(call(None))).value()).choices[0].text == "x"


async def test_an_answer_in_time():
    assert (await (await layer("x")(call(10))).value()).choices[0].text == "x"


async def test_a_call_that_takes_too_long_is_cancelled():
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s") as caught:
        await layer("x", gate=asyncio.Event())(call(0.05))
    assert (caught.value.model, caught.value.request_id) == ("m", "req_1")


async def test_a_deadline_that_has_passed_ends_the_call_at_its_first_wait():
    with pytest.raises(DeadlineExceeded):
        await layer("x", gate=asyncio.Event())(call(-1))


async def test_a_time_out_of_the_provider_is_its_own():
    with pytest.raises(TimeoutError) as caught:
        await layer(TimeoutError("mine"))(call(10))
    assert not isinstance(caught.value, DeadlineExceeded)


async def test_a_cancelled_caller_is_cancelled_and_not_late():
    task = asyncio.create_task(layer("x", gate=asyncio.Event())(call(10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stream_ends_at_the_deadline_and_its_timer_with_it():
    reply = await layer(["a", "b"])(call(0.05, stream=True))
    assert [chunk.text for chunk in await reply.batch()] == ["a"]
    await asyncio.sleep(0.1)
    with pytest.raises(DeadlineExceeded):
        await reply.batch()
    assert reply.outcome is not None
    assert reply.outcome.state == "failed"


async def test_a_stream_that_ends_in_time_is_not_interrupted_later():
    reply = await layer(["a", "b"])(call(0.05, stream=True))
    assert (await reply.value()).choices[0].text == "ab"
    await asyncio.sleep(0.1)
    assert reply.outcome is not None
    assert reply.outcome.state == "completed"
