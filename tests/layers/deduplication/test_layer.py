"""The deduplication layer, over a handler whose answers can be held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gatewright.clock import MONOTONIC
from gatewright.errors import DeadlineExceeded, ProviderUnavailable
from gatewright.layers.deadline import DeadlineLayer
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.layer import DeduplicationLayer
from gatewright.pipeline.call import Call, CallOptions
from gatewright.pipeline.events import CallShared, Event, Events
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.testing import FakeClock
from gatewright.types.caller import Caller
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings
from gatewright.types.usage import Usage

USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


class Upstream:
    """Answers when it is let to, and counts."""

    def __init__(self, pieces: int = 3) -> None:
        self.calls: list[Call] = []
        self.gate = asyncio.Event()
        self.steps = asyncio.Semaphore(0)
        self.errors: list[Exception] = []
        self.pieces = pieces
        self.closed = 0
        self.cancelled = 0

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        self.calls.append(call)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.errors:
            raise self.errors.pop()
        if isinstance(call.request, EmbedRequest):
            return Reply.whole(Embeddings(vectors=[[1.0]], model="m", provider="p", cost_usd=0.5))
        if call.stream:
            return await Reply.begin(self._stream(), AnswerFold(model="m", provider="p"))
        choice = Choice(text="Hello", finish_reason="stop")
        return Reply.whole(Answer(choices=[choice], model="m", provider="p", usage=USAGE, cost_usd=0.5), chunks_of)

    async def _stream(self) -> AsyncGenerator[list[Chunk], None]:
        try:
            for number in range(self.pieces):
                await self.steps.acquire()
                yield [Chunk(text=f"{number} ")]
            yield [Chunk(finish_reason="stop", usage=USAGE)]
        finally:
            self.closed += 1


def call(text: str = "Hi", *, tenant: str | None = None, stream: bool = False, **changes: Any) -> Call:
    options = CallOptions(deduplicate=changes.pop("deduplicate", None))
    params = changes.pop("params", {})
    request = GenerateRequest(model="m", messages=[{"role": "user", "content": text}], params=params)
    number = f"req_{id(request)}"
    caller = Caller(tenant_id=tenant)
    return Call(request=request, id=number, started_at=0.0, caller=caller, stream=stream, options=options, **changes)


def layer_over(upstream: Upstream, clock: Any = MONOTONIC, events: Events | None = None, **config: Any) -> Any:
    layer = DeduplicationLayer(DeduplicationConfig(**config), clock, events or Events())
    return stack([layer], upstream)


async def value(handle: Any, made: Call) -> Any:
    reply = await handle(made)
    async with reply:
        return await reply.value(), reply


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_identical_calls_under_way_are_one_and_only_the_first_pays() -> None:
    upstream, events = Upstream(), Events()
    seen: list[Event] = []
    events.subscribe(seen.append)
    handle = layer_over(upstream, events=events)
    tasks = [asyncio.create_task(value(handle, call())) for _ in range(100)]
    await settle()
    upstream.gate.set()
    results = await asyncio.gather(*tasks)
    assert len(upstream.calls) == 1
    assert [answer.choices[0].text for answer, _ in results] == ["Hello"] * 100
    assert sorted(answer.cost_usd for answer, _ in results) == [0.0] * 99 + [0.5]
    assert [reply.cached for _, reply in results] == [False] + [True] * 99
    assert [reply.attempts for _, reply in results] == [1] + [0] * 99
    assert sum(isinstance(event, CallShared) for event in seen) == 99


async def test_different_calls_stay_apart() -> None:
    upstream = Upstream()
    upstream.gate.set()
    handle = layer_over(upstream)
    for made in (
        call(),
        call("Ho"),
        call(tenant="a"),
        call(tenant="b"),
        call(params={"seed": 1}),
        call(params={"temperature": 1.5}),
        call(params={"temperature": 1.5}),
        call(params={"n": 2}),
        call(params={"n": 2}),
        call(deduplicate=False),
        call(deduplicate=False),
    ):
        await value(handle, made)
    assert len(upstream.calls) == 11


async def test_one_who_says_so_is_merged_whatever_the_temperature() -> None:
    upstream = Upstream()
    upstream.gate.set()
    handle = layer_over(upstream)
    for _ in range(2):
        await value(handle, call(params={"temperature": 2.0}, deduplicate=True))
    assert len(upstream.calls) == 1


async def test_within_the_window_the_finished_answer_is_given_again_and_after_it_not() -> None:
    upstream, clock = Upstream(), FakeClock()
    upstream.gate.set()
    handle = layer_over(upstream, clock, window=2.0)
    await value(handle, call())
    await clock.advance(1.9)
    answer, reply = await value(handle, call())
    assert (answer.cost_usd, reply.cached, len(upstream.calls)) == (0.0, True, 1)
    await clock.advance(0.2)
    answer, reply = await value(handle, call())
    assert (answer.cost_usd, reply.cached, len(upstream.calls)) == (0.5, False, 2)


async def test_embeddings_are_shared_too() -> None:
    upstream = Upstream()
    upstream.gate.set()
    handle = layer_over(upstream)
    asked = [
        Call(request=EmbedRequest(model="m", inputs=["a"]), id=f"req_{number}", started_at=0.0) for number in (1, 2)
    ]
    first, second = [(await value(handle, one))[0] for one in asked]
    assert (first.cost_usd, second.cost_usd) == (0.5, 0.0)
    assert len(upstream.calls) == 1


async def test_a_failure_reaches_everyone_aboard_and_is_not_remembered() -> None:
    upstream = Upstream()
    upstream.errors = [ProviderUnavailable("down", request_id="req_first")]
    handle = layer_over(upstream)
    calls = [call() for _ in range(3)]
    tasks = [asyncio.create_task(value(handle, made)) for made in calls]
    await settle()
    upstream.gate.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, ProviderUnavailable) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert [error.request_id for error in errors[1:]] == [made.id for made in calls[1:]]  # type: ignore[union-attr]
    answer, _ = await value(handle, call())
    assert answer.choices[0].text == "Hello"
    assert len(upstream.calls) == 2


async def test_a_leader_that_goes_away_takes_nobody_with_it_and_the_next_one_pays() -> None:
    upstream = Upstream()
    handle = layer_over(upstream)
    leader, *followers = [asyncio.create_task(value(handle, call())) for _ in range(3)]
    await settle()
    leader.cancel()
    await settle()
    upstream.gate.set()
    results = await asyncio.gather(*followers)
    assert [answer.cost_usd for answer, _ in results] == [0.5, 0.0]
    assert len(upstream.calls) == 1
    assert upstream.cancelled == 0


async def test_when_all_go_away_the_upstream_call_ends() -> None:
    upstream = Upstream()
    handle = layer_over(upstream)
    tasks = [asyncio.create_task(value(handle, call())) for _ in range(3)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()
    assert upstream.cancelled == 1
    upstream.gate.set()
    await value(handle, call())
    assert len(upstream.calls) == 2


async def test_late_joiners_of_a_stream_get_the_chunks_so_far_and_then_the_rest() -> None:
    upstream = Upstream()
    upstream.gate.set()
    handle = layer_over(upstream)
    first = asyncio.create_task(handle(call(stream=True)))
    upstream.steps.release()
    early = await first
    assert [chunk.text for chunk in await early.batch()] == ["0 "]
    late = await handle(call(stream=True))
    assert [chunk.text for chunk in await late.batch()] == ["0 "]
    upstream.steps.release()
    upstream.steps.release()
    texts = await asyncio.gather(early.value(), late.value())
    assert [answer.choices[0].text for answer in texts] == ["0 1 2 ", "0 1 2 "]
    assert [answer.usage for answer in texts] == [USAGE, USAGE]
    assert (early.cached, late.cached) == (False, True)
    assert texts[1].cost_usd == 0.0
    assert len(upstream.calls) == 1
    again = await handle(call(stream=True))
    assert (await again.value()).choices[0].text == "0 1 2 "
    assert len(upstream.calls) == 1


async def test_closing_one_reader_of_a_stream_leaves_the_other_and_closing_both_ends_it() -> None:
    upstream = Upstream()
    upstream.gate.set()
    handle = layer_over(upstream)
    upstream.steps.release()
    one, two = await asyncio.gather(handle(call(stream=True)), handle(call(stream=True)))
    await one.aclose()
    assert one.outcome.state == "abandoned"
    await settle()
    assert upstream.closed == 0
    await two.aclose()
    await settle()
    assert upstream.closed == 1


async def test_a_follower_with_more_time_than_its_leader_goes_on_alone() -> None:
    upstream = Upstream()
    layer = DeduplicationLayer(DeduplicationConfig(), MONOTONIC, Events())

    async def deadline_bound(made: Call, /) -> Reply[Any, Any]:
        # What routing does with the deadline of the call that it is given.
        async with asyncio.timeout_at(made.deadline):
            return await upstream(made)

    async def worded(made: Call, /) -> Reply[Any, Any]:
        try:
            return await deadline_bound(made)
        except TimeoutError as error:
            raise DeadlineExceeded("too late") from error

    handle = stack([DeadlineLayer(), layer], worded)
    now = MONOTONIC.now()
    hurried = asyncio.create_task(value(handle, call(deadline=now + 0.05)))
    await settle()
    patient = asyncio.create_task(value(handle, call(deadline=now + 30)))
    with pytest.raises(DeadlineExceeded):
        await hurried
    upstream.gate.set()
    answer, _ = await patient
    assert answer.choices[0].text == "Hello"


async def test_nothing_is_left_behind() -> None:
    upstream = Upstream()
    upstream.gate.set()
    layer = DeduplicationLayer(DeduplicationConfig(window=0), MONOTONIC, Events())
    handle = stack([layer], upstream)
    for number in range(300):
        await value(handle, call(str(number)))
    await settle()
    assert len(layer._flights) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_who_came_to_a_call_that_failed_before_it_began_to_wait_gets_the_error() -> None:
    upstream = Upstream()
    upstream.errors = [ProviderUnavailable("down")]
    upstream.gate.set()
    handle = layer_over(upstream)
    leading = handle(call())
    following = handle(call())
    with pytest.raises(ProviderUnavailable):
        await leading
    with pytest.raises(ProviderUnavailable):
        await asyncio.wait_for(following, 5)


async def test_a_leader_that_is_closed_leaves_nothing_to_be_found() -> None:
    layer = DeduplicationLayer(DeduplicationConfig(), MONOTONIC, Events())
    leading = stack([layer], Upstream())(call())
    leading.send(None)
    assert len(layer._flights) == 1
    leading.close()
    assert len(layer._flights) == 0


async def test_an_answer_that_comes_as_a_stream_is_read_whole_and_handed_over_where_it_stands() -> None:
    steps, opened = asyncio.Semaphore(0), 0

    async def streaming(_: Call, /) -> Reply[Any, Any]:
        nonlocal opened
        opened += 1

        async def chunks() -> AsyncGenerator[list[Chunk], None]:
            yield [Chunk(text="a")]
            await steps.acquire()
            yield [Chunk(text="b", finish_reason="stop")]

        return await Reply.begin(chunks(), AnswerFold(model="m", provider="p"))

    layer = DeduplicationLayer(DeduplicationConfig(), MONOTONIC, Events())
    handle = stack([layer], streaming)
    leader, follower = [asyncio.create_task(value(handle, call())) for _ in range(2)]
    await settle()
    leader.cancel()
    await settle()
    steps.release()
    answer, reply = await follower
    assert (answer.choices[0].text, reply.cached, reply.attempts, opened) == ("ab", False, 1, 1)
