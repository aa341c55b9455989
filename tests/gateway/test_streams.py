"""`GenerateStream`: in `for` and in `async for`, at home and elsewhere, read to its end or not."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel

from gatewright import create_gateway
from gatewright.errors import (
    AuthenticationFailed,
    CallCancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidProviderResponse,
    StreamInterrupted,
)
from gatewright.gateway.handover import BATCHES_AHEAD
from gatewright.testing import ScriptedProvider
from gatewright.types.results import Chunk, ToolCallDelta

pytestmark = pytest.mark.usefixtures("threads_left")


def raises(kind: type[BaseException], work: Any) -> None:
    with pytest.raises(kind):
        work()


PLACES = ["home", "elsewhere", "blocking"]
"""On the home loop, on another loop (home is a thread), in a blocking `for`."""


class Reading:
    """Reads a stream in one of three ways."""

    def __init__(self, place: str, gateway: Any) -> None:
        self.place = place
        if place == "elsewhere":
            gateway.run_blocking(lambda: asyncio.sleep(0))

    def all(self, stream: Any) -> list[Any]:
        if self.place == "blocking":
            return list(stream)

        async def read() -> list[Any]:
            return [item async for item in stream]

        return asyncio.run(read())


@pytest.mark.parametrize("place", PLACES)
def test_text_and_everything_at_the_end(gateway_of: Any, upstream: Any, place: str) -> None:
    gateway = gateway_of(upstream, params={"input_cost_per_token": 1.0, "output_cost_per_token": 2.0})
    stream = gateway.generate_stream("4")
    assert stream.response is None and stream.usage is None and stream.finish_reason is None and stream.text == ""
    assert Reading(place, gateway).all(stream) == ["0 ", "1 ", "2 ", "3 "]
    assert stream.text == "0 1 2 3 "
    assert stream.finish_reason == "stop"
    assert (stream.usage.prompt_tokens, stream.usage.completion_tokens) == (3, 4)
    assert stream.cost_usd == 11.0
    assert stream.tool_calls == ()
    response = stream.response
    assert (response.text, response.provider, response.model) == ("0 1 2 3 ", "openai", "m")
    assert response.request_id == stream.request_id
    assert response.attempts == 1
    assert response.raw_response is None
    assert list(stream) == []
    gateway.close()


def test_nothing_is_sent_before_the_first_read(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        stream = gateway.generate_stream("2")
        del stream
        with gateway.generate_stream("2"):
            pass
    assert upstream.requests == []


TOOLS = [
    Chunk(reasoning="hm "),
    Chunk(reasoning="so"),
    Chunk(tool_calls=(ToolCallDelta(index=0, id="a", name="f", arguments='{"x"'),)),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments=":1}"),)),
    Chunk(text="other", index=1),
    Chunk(text="said"),
    Chunk(finish_reason="tool_calls"),
]


@pytest.mark.parametrize("place", PLACES)
def test_events_have_tool_calls_reasoning_and_other_choices(gateway_of: Any, place: str) -> None:
    gateway = gateway_of(ScriptedProvider([TOOLS]))
    stream = gateway.generate_stream("x")
    assert Reading(place, gateway).all(stream.events()) == TOOLS
    assert stream.text == "said"
    assert [(call.id, call.name, call.arguments) for call in stream.tool_calls] == [("a", "f", '{"x":1}')]
    assert stream.response.reasoning == "hm so"
    assert [choice.text for choice in stream.response.choices] == ["said", "other"]
    gateway.close()


@pytest.mark.parametrize("place", PLACES)
def test_an_error_before_the_first_chunk(gateway_of: Any, place: str) -> None:
    gateway = gateway_of(ScriptedProvider([AuthenticationFailed("no")]))
    stream = gateway.generate_stream("x")
    with pytest.raises(AuthenticationFailed):
        Reading(place, gateway).all(stream)
    assert list(stream) == []
    gateway.close()


@pytest.mark.parametrize("place", PLACES)
def test_an_error_later_has_the_text_so_far(gateway_of: Any, place: str) -> None:
    provider = ScriptedProvider([["a", "b", ConnectionFailed("broke")]])
    gateway = gateway_of(provider)
    stream = gateway.generate_stream("x")
    with pytest.raises(StreamInterrupted) as raised:
        Reading(place, gateway).all(stream)
    assert raised.value.text == "ab" == stream.text
    assert isinstance(raised.value.__cause__, ConnectionFailed)
    assert stream.response is None
    assert provider.open_streams == 0
    gateway.close()


@pytest.mark.parametrize("place", PLACES)
def test_the_deadline_starts_at_the_first_read(gateway_of: Any, patient: Any, place: str) -> None:
    gateway = gateway_of(patient)
    stream = gateway.generate_stream("x", timeout=0.2)
    threading.Event().wait(0.25)
    texts: list[str] = []

    def read() -> None:
        for text in stream:
            texts.append(text)  # noqa: PERF402 - what came before the error counts

    async def read_async() -> None:
        async for text in stream:
            texts.append(text)  # noqa: PERF401

    Reading(place, gateway)
    with pytest.raises(DeadlineExceeded):
        read() if place == "blocking" else asyncio.run(read_async())
    assert texts == ["0 "]
    assert patient.cancelled == 1
    gateway.close()


class City(BaseModel):
    name: str


@pytest.mark.parametrize("place", PLACES)
def test_a_parsed_response_at_the_end(gateway_of: Any, place: str) -> None:
    gateway = gateway_of(ScriptedProvider([['{"name":', '"Rome"}'], ['{"nam', 'e": 1}']]))
    stream = gateway.generate_stream("x", response_format=City)
    Reading(place, gateway).all(stream)
    assert stream.response.parsed == City(name="Rome")
    bad = gateway.generate_stream("y", response_format=City)
    with pytest.raises(InvalidProviderResponse, match="City: name"):
        Reading(place, gateway).all(bad)
    assert bad.text == '{"name": 1}'
    assert bad.response is None
    gateway.close()


# Read in part


async def test_break_and_forget_at_home(gateway_of: Any, upstream: Any, until_async: Any) -> None:
    async with gateway_of(upstream) as gateway:
        async for _ in gateway.generate_stream("endless"):
            break
        gc.collect()
        await until_async(lambda: upstream.cut == 1)
        await until_async(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def test_break_and_forget_in_blocking_code(gateway_of: Any, upstream: Any, until: Any) -> None:
    with gateway_of(upstream) as gateway:
        for _ in gateway.generate_stream("endless"):
            break
        gc.collect()
        until(lambda: upstream.cut == 1)
        for _ in gateway.generate_stream("endless").events():
            break
        gc.collect()
        until(lambda: upstream.cut == 2)


def test_break_and_forget_on_another_loop(gateway_of: Any, upstream: Any, until: Any) -> None:
    async def read() -> None:
        async for _ in gateway.generate_stream("endless"):
            break

    with gateway_of(upstream) as gateway:
        gateway.run_blocking(lambda: asyncio.sleep(0))
        asyncio.run(read())
        gc.collect()
        until(lambda: upstream.cut == 1)


@pytest.mark.parametrize("way", ["aclose", "close", "async with"])
@pytest.mark.parametrize("place", ["home", "elsewhere"])
def test_closing_a_stream_in_async_code(gateway_of: Any, upstream: Any, until: Any, place: str, way: str) -> None:
    async def read() -> None:
        stream = gateway.generate_stream("endless")
        if way == "async with":
            async with stream:
                await anext(stream)
        else:
            await anext(stream)
            if way == "close":
                stream.close()
            else:
                await stream.aclose()
        assert [text async for text in stream] == []
        await stream.aclose()
        while not upstream.cut:
            await asyncio.sleep(0.002)

    gateway = gateway_of(upstream)
    Reading(place, gateway)
    asyncio.run(read())
    assert upstream.cut == 1
    gateway.close()


@pytest.mark.parametrize("way", ["close", "with"])
def test_closing_a_stream_in_blocking_code(gateway_of: Any, upstream: Any, until: Any, way: str) -> None:
    with gateway_of(upstream) as gateway:
        stream = gateway.generate_stream("endless")
        if way == "with":
            with stream:
                next(stream)
        else:
            next(stream)
            stream.close()
        assert list(stream) == []
        stream.close()
        until(lambda: upstream.cut == 1)


def test_after_aclose_it_has_ended_at_the_provider(gateway_of: Any, patient: Any) -> None:
    async def read() -> None:
        stream = gateway.generate_stream("x")
        await anext(stream)
        await stream.aclose()
        assert patient.cancelled == 1

    with gateway_of(patient) as gateway:
        gateway.run_blocking(lambda: asyncio.sleep(0))
        asyncio.run(read())


@pytest.mark.parametrize("place", ["home", "elsewhere"])
def test_cancelling_the_reader_reaches_the_provider(gateway_of: Any, patient: Any, until: Any, place: str) -> None:
    async def read() -> None:
        stream = gateway.generate_stream("x")
        await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not patient.cancelled:
            await asyncio.sleep(0.002)
        assert [text async for text in stream] == []

    gateway = gateway_of(patient)
    Reading(place, gateway)
    asyncio.run(read())
    gateway.close()


def test_closing_from_another_thread_wakes_the_reader(gateway_of: Any, patient: Any, until: Any) -> None:
    with gateway_of(patient) as gateway:
        stream = gateway.generate_stream("x")
        assert next(stream) == "0 "
        reader = threading.Thread(target=raises, args=(CallCancelled, lambda: next(stream)))
        reader.start()
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        until(lambda: patient.cancelled == 1)


def test_closing_before_the_request_began_wakes_the_reader(gateway_of: Any, patient: Any) -> None:
    """The reading task is cancelled before its first step: the reader hears of it all the same."""
    with gateway_of(patient) as gateway:
        home_stands_still, go_on = threading.Event(), threading.Event()

        async def hold() -> None:
            home_stands_still.set()
            go_on.wait()

        holder = threading.Thread(target=lambda: gateway.run_blocking(hold))
        holder.start()
        home_stands_still.wait()
        stream = gateway.generate_stream("x")
        reader = threading.Thread(target=raises, args=(CallCancelled, lambda: next(stream)))
        reader.start()
        while stream._pump is None:
            pass
        stream.close()
        go_on.set()
        reader.join(10)
        assert not reader.is_alive()
        holder.join()
    assert patient.started == 0


# Read in unforeseen ways


async def test_awaiting_a_stream_starts_it(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        stream = await gateway.generate_stream_async("2")
        assert len(upstream.requests) == 1
        assert await stream is stream
        assert [text async for text in stream] == ["0 ", "1 "]


async def test_awaiting_a_stream_raises_what_comes_before_the_first_chunk(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([AuthenticationFailed("no")])) as gateway:
        with pytest.raises(AuthenticationFailed):
            await gateway.generate_stream("x")


def test_for_after_async_for_says_what_to_do(gateway_of: Any, upstream: Any) -> None:
    async def begin() -> None:
        assert await anext(stream) == "0 "

    for place in ("home", "elsewhere"):
        gateway = gateway_of(upstream)
        Reading(place, gateway)
        stream = gateway.generate_stream("endless")
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        stream._ready.clear()
        with pytest.raises(RuntimeError, match="began in `async for`, on a loop of its own: go on there"):
            next(stream)
        loop.run_until_complete(stream.aclose())
        gateway.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert len(upstream.requests) == 2


def test_async_for_after_for_says_what_to_do(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        stream = gateway.generate_stream("endless")
        next(stream)
        stream._ready.clear()
        with pytest.raises(RuntimeError, match="began in a blocking `for`"):
            asyncio.run(Reading("home", gateway).all(stream))  # type: ignore[arg-type]
        assert next(stream)
        stream.close()
    assert len(upstream.requests) == 1


async def test_two_readers_at_once_are_told(gateway_of: Any, patient: Any) -> None:
    patient.first_chunk_waits = True
    async with gateway_of(patient) as gateway:
        stream = gateway.generate_stream("x")
        first = asyncio.create_task(stream.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="being read by another task or thread"):
            await anext(stream)
        patient.release.set()
        assert await first == "0 "
        assert [text async for text in stream] == ["1 ", "2 "]
    assert patient.started == 1


def test_the_filling_task_waits_for_a_slow_reader(gateway_of: Any, patient: Any, until: Any) -> None:
    patient.chunks = 200
    patient.release.set()
    with gateway_of(patient) as gateway:
        stream = gateway.generate_stream("x")
        assert next(stream) == "0 "
        until(lambda: patient.given >= BATCHES_AHEAD)
        gateway.run_blocking(lambda: asyncio.sleep(0.05))
        assert patient.given <= BATCHES_AHEAD + 2
        assert len(list(stream)) == 199


def test_many_threads_read_streams_of_their_own(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda n: "".join(gateway.generate_stream(str(n))), range(1, 41)))
    assert texts == ["".join(f"{place} " for place in range(n)) for n in range(1, 41)]


def test_latency_counts_from_the_first_read(gateway_of: Any) -> None:
    with create_gateway(["simulator"], "simulator/m") as gateway:
        stream = gateway.generate_stream("x")
        threading.Event().wait(0.3)
        list(stream)
        assert stream.response is not None
        assert stream.response.latency_ms < 300
