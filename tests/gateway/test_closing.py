"""Closing: what is under way ends or is cut off in bounded time, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from typing import Any

import pytest

from gatewright.errors import GatewayClosed

pytestmark = pytest.mark.usefixtures("threads_left")


def test_with_closes_connections_and_refuses_new_calls(gateway_of: Any, upstream: Any, until: Any) -> None:
    with gateway_of(upstream) as gateway:
        gateway.generate("a")
        assert upstream.connections == 1
    until(lambda: upstream.connections == 0)
    assert gateway.closed
    for call in (lambda: gateway.generate("b"), lambda: gateway.embed("b"), lambda: next(gateway.generate_stream("3"))):
        with pytest.raises(GatewayClosed):
            call()
    assert len(upstream.requests) == 1


async def test_async_with_closes_connections_and_refuses_new_calls(
    gateway_of: Any, upstream: Any, until_async: Any
) -> None:
    async with gateway_of(upstream) as gateway:
        await gateway.generate_async("a")
    await until_async(lambda: upstream.connections == 0)
    for call in (gateway.generate_async("b"), gateway.embed_async("b"), gateway.complete_async("b")):
        with pytest.raises(GatewayClosed):
            await call
    with pytest.raises(GatewayClosed):
        [text async for text in gateway.generate_stream("3")]
    with pytest.raises(GatewayClosed):
        async with gateway:
            await gateway.generate_async("b")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closing_twice_and_unused_is_well(gateway_of: Any, upstream: Any) -> None:
    gateway = gateway_of(upstream)
    await gateway.aclose()
    await gateway.aclose()
    gateway.close()
    unused = gateway_of(upstream)
    unused.close()
    unused.close()
    with pytest.raises(GatewayClosed):
        await unused.generate_async("x")


def test_calls_under_way_may_end(gateway_of: Any, patient: Any, until: Any) -> None:
    gateway = gateway_of(patient, close_timeout=30)
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(gateway.generate("x").text))
    caller.start()
    until(lambda: patient.started)
    threading.Timer(0.05, patient.release.set).start()
    gateway.close()
    caller.join()
    assert answers == ["x"]


@pytest.mark.parametrize("by", ["generate", "embed", "stream"])
def test_calls_under_way_are_cut_off_from_another_thread(gateway_of: Any, patient: Any, until: Any, by: str) -> None:
    patient.first_chunk_waits = True
    gateway = gateway_of(patient, close_timeout=0)
    calls = {
        "generate": lambda: gateway.generate("x"),
        "embed": lambda: gateway.embed("x"),
        "stream": lambda: list(gateway.generate_stream("x")),
    }

    def call() -> None:
        with pytest.raises(GatewayClosed):
            calls[by]()

    caller = threading.Thread(target=call)
    caller.start()
    until(lambda: patient.started)
    gateway.close()
    caller.join(10)
    assert patient.cancelled == 1
    assert patient.under_way == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_under_way_are_cut_off_at_home(
    gateway_of: Any, patient: Any, until_async: Any, streamed: bool
) -> None:
    patient.first_chunk_waits = True
    gateway = gateway_of(patient, close_timeout=0)
    cancelling: list[int] = []

    async def ask() -> None:
        with pytest.raises(GatewayClosed):
            if streamed:
                [text async for text in gateway.generate_stream("x")]
            else:
                await gateway.generate_async("x")
        cancelling.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]
        await asyncio.sleep(0.01)

    task = asyncio.create_task(ask())
    await until_async(lambda: patient.started)
    await gateway.aclose()
    await task
    assert cancelling == [0]
    assert patient.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stream_that_is_cut_off_does_not_look_whole(gateway_of: Any, patient: Any) -> None:
    gateway = gateway_of(patient, close_timeout=0)
    stream = gateway.generate_stream("x")
    assert await anext(stream) == "0 "
    await gateway.aclose()
    with pytest.raises(GatewayClosed):
        await anext(stream)
    assert stream.response is None
    assert stream.text == "0 "


async def test_a_half_read_stream_of_the_closer_is_not_waited_for(gateway_of: Any, patient: Any) -> None:
    began = time.monotonic()
    async with gateway_of(patient, close_timeout=60) as gateway:
        stream = gateway.generate_stream("x")
        async for _ in stream:
            break
    assert time.monotonic() - began < 30
    assert patient.cancelled == 1


def test_a_half_read_stream_of_the_closing_thread_is_not_waited_for(gateway_of: Any, patient: Any) -> None:
    began = time.monotonic()
    with gateway_of(patient, close_timeout=60) as gateway:
        stream = gateway.generate_stream("x")
        assert next(stream) == "0 "
    assert time.monotonic() - began < 30
    assert patient.cancelled == 1


def test_close_from_another_thread_than_home(gateway_of: Any, upstream: Any, until: Any) -> None:
    async def main() -> None:
        await gateway.generate_async("a")
        await asyncio.to_thread(gateway.close)

    gateway = gateway_of(upstream)
    asyncio.run(main())
    until(lambda: upstream.connections == 0)


def test_close_from_another_loop_than_home(gateway_of: Any, upstream: Any, until: Any) -> None:
    gateway = gateway_of(upstream)
    gateway.generate("a")
    asyncio.run(gateway.aclose())
    until(lambda: upstream.connections == 0)


async def test_a_provider_that_will_not_be_cancelled_bounds_nothing(gateway_of: Any, until_async: Any) -> None:
    let_go = asyncio.Event()
    asked: list[Any] = []

    class Stubborn:
        async def __call__(self, call: Any, /) -> Any:
            asked.append(call)
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue
            raise asyncio.CancelledError

        async def aclose(self) -> None: ...

    gateway = gateway_of(Stubborn(), close_timeout=0)
    task = asyncio.create_task(gateway.generate_async("x"))
    await until_async(lambda: asked)
    async with asyncio.timeout(30):
        await gateway.aclose()
    let_go.set()
    with pytest.raises((GatewayClosed, asyncio.CancelledError)):
        await task


async def test_cancelling_the_closing_still_closes(gateway_of: Any, patient: Any, until_async: Any) -> None:
    gateway = gateway_of(patient, close_timeout=60)
    call = asyncio.create_task(gateway.generate_async("x"))
    await until_async(lambda: patient.started)
    closing = asyncio.create_task(gateway.aclose())
    await asyncio.sleep(0.03)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(GatewayClosed):
        await call


async def test_a_gateway_collected_on_a_living_loop_closes_its_connections(
    gateway_of: Any, upstream: Any, until_async: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gateway = gateway_of(upstream)
        await gateway.generate_async("a")
        [text async for text in gateway.generate_stream("3")]
        assert upstream.connections == 1
        del gateway
        gc.collect()
        await until_async(lambda: upstream.connections == 0)
        await until_async(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def test_a_gateway_collected_with_its_own_thread_ends_it(gateway_of: Any, upstream: Any, until: Any) -> None:
    before = threading.active_count()
    gateway = gateway_of(upstream)
    gateway.generate("a")
    list(gateway.generate_stream("3"))
    assert threading.active_count() == before + 1
    del gateway
    gc.collect()
    until(lambda: threading.active_count() == before)
    until(lambda: upstream.connections == 0)


async def test_a_gateway_with_its_own_thread_collected_on_a_loop(
    gateway_of: Any, upstream: Any, until_async: Any
) -> None:
    gateway = gateway_of(upstream)
    await asyncio.to_thread(gateway.generate, "a")
    await gateway.generate_async("b")
    del gateway
    gc.collect()
    await until_async(lambda: upstream.connections == 0)
