"""The home loop: from many threads and loops, blocking and not, on one gateway."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright.errors import BlockingCallRefused, CallCancelled, DeadlineExceeded
from gatewright.gateway.submission import LoopEnded

pytestmark = pytest.mark.usefixtures("threads_left")


def _in_threads(count: int, work: Any) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return [done.result(30) for done in [pool.submit(work, number) for number in range(count)]]


def test_blocking_calls_from_many_threads_share_one_home(gateway_of: Any, patient: Any, until: Any) -> None:
    with gateway_of(patient) as gateway:
        opener = threading.Thread(target=lambda: (until(lambda: patient.under_way == 8), patient.release.set()))
        opener.start()
        assert _in_threads(8, lambda n: gateway.generate(f"{n}").text) == [f"{n}" for n in range(8)]
        opener.join()
    assert patient.most == 8
    assert len(patient.loops) == 1


def test_several_loops_in_several_threads_at_once(gateway_of: Any, upstream: Any) -> None:
    async def ask(number: int) -> list[str]:
        answers = [gateway.generate_async(f"{number}.{n}") for n in range(10)]
        return [answer.text for answer in await asyncio.gather(*answers)]

    with gateway_of(upstream) as gateway:
        given = _in_threads(4, lambda n: asyncio.run(ask(n)))
    assert given == [[f"{number}.{n}" for n in range(10)] for number in range(4)]


async def test_blocking_and_awaited_calls_mix_on_one_gateway(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        blocking = [asyncio.to_thread(gateway.generate, f"t{n}") for n in range(8)]
        awaited = [gateway.generate_async(f"a{n}") for n in range(8)]
        answers = await asyncio.gather(*blocking, *awaited)
    assert [answer.text for answer in answers] == [f"t{n}" for n in range(8)] + [f"a{n}" for n in range(8)]


def test_first_blocking_then_awaited(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        assert gateway.generate("one").text == "one"
        assert asyncio.run(gateway.generate_async("two")).text == "two"
        assert gateway.generate("three").text == "three"
    assert upstream.accepted == 1


def test_a_second_loop_after_the_first_then_blocking(gateway_of: Any, upstream: Any, until: Any) -> None:
    gateway = gateway_of(upstream)
    assert asyncio.run(gateway.generate_async("one")).text == "one"
    until(lambda: upstream.connections == 0)
    assert asyncio.run(gateway.generate_async("two")).text == "two"
    assert gateway.generate("three").text == "three"
    gateway.close()
    until(lambda: upstream.connections == 0)
    assert upstream.accepted == 3


def test_a_loop_used_piecewise_with_blocking_calls_between(gateway_of: Any, upstream: Any, until: Any) -> None:
    loop = asyncio.new_event_loop()
    gateway = gateway_of(upstream)
    for number in range(3):
        assert loop.run_until_complete(gateway.generate_async(f"a{number}")).text == f"a{number}"
        assert gateway.generate(f"b{number}").text == f"b{number}"
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    gateway.close()
    gc.collect()
    until(lambda: upstream.connections == 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_without_ceremony(gateway_of: Any, upstream: Any, until: Any) -> None:
    gateway = gateway_of(upstream)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(gateway.generate_async("one"))
    loop.close()
    assert gateway.generate("two").text == "two"
    gateway.close()
    gc.collect()
    until(lambda: upstream.connections == 0)


def test_a_call_on_a_loop_that_stands_still_ends_where_home_moves(gateway_of: Any, patient: Any) -> None:
    loop = asyncio.new_event_loop()
    gateway = gateway_of(patient)
    waiting = loop.create_task(gateway.generate_async("one"))
    loop.run_until_complete(asyncio.sleep(0.01))
    patient.release.set()
    assert gateway.generate("two").text == "two"
    with pytest.raises(LoopEnded):
        loop.run_until_complete(waiting)
    assert loop.run_until_complete(gateway.generate_async("three")).text == "three"
    gateway.close()
    loop.close()


# From Python 3.13 on it is warned of what a loop that never turns again did not get to close.
NEVER_TURNS = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <async_generator object _watch:pytest.PytestUnraisableExceptionWarning"
)


@NEVER_TURNS
def test_closing_while_the_loop_stands_still(gateway_of: Any, upstream: Any, until: Any) -> None:
    loop = asyncio.new_event_loop()
    gateway = gateway_of(upstream)
    loop.run_until_complete(gateway.generate_async("one"))
    gateway.close()
    loop.close()
    del gateway
    gc.collect()
    until(lambda: upstream.connections == 0)


async def test_blocking_calls_on_the_home_loop_are_refused(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        for blocking in (lambda: gateway.generate("x"), lambda: gateway.embed(["x"]), gateway.close):
            with pytest.raises(BlockingCallRefused, match="_async"):
                blocking()
        with pytest.raises(BlockingCallRefused, match="async for"):
            next(gateway.generate_stream("3"))
        stream = gateway.generate_stream("3")
        with pytest.raises(BlockingCallRefused):
            next(stream.events())
        assert [text async for text in stream] == ["0 ", "1 ", "2 "]
    assert len(upstream.requests) == 1


def test_blocking_calls_from_another_running_loop_are_allowed(gateway_of: Any, upstream: Any) -> None:
    async def blocking() -> list[str]:
        return [gateway.generate("a").text, *gateway.generate_stream("2")]

    with gateway_of(upstream) as gateway:
        gateway.generate("home is a thread of its own")
        assert asyncio.run(blocking()) == ["a", "0 ", "1 "]


def test_cancelling_from_another_loop_reaches_the_upstream(gateway_of: Any, upstream: Any, until: Any) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(gateway.generate_async("hang"))
        while not any("hang" in str(request) for request in upstream.requests):
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with gateway_of(upstream) as gateway:
        gateway.generate("home is a thread of its own")
        asyncio.run(cancel())
        until(lambda: upstream.cut == 1)


async def test_cancelling_at_home_reaches_the_upstream(gateway_of: Any, upstream: Any, until_async: Any) -> None:
    async with gateway_of(upstream) as gateway:
        task = asyncio.create_task(gateway.generate_async("hang"))
        await until_async(lambda: upstream.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_async(lambda: upstream.cut == 1)


@pytest.mark.parametrize("way", ["generate", "stream", "batch"])
def test_ctrl_c_in_a_blocking_call_cancels_it(gateway_of: Any, patient: Any, until: Any, way: str) -> None:
    from gatewright import batch_generate

    patient.chunks = 2

    def interrupt() -> None:
        until(lambda: patient.started)
        time.sleep(0.05)  # until the main thread waits: an interrupt in the middle of its asking is another matter
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with gateway_of(patient) as gateway:
        stream = gateway.generate_stream("x")
        calls = {
            "generate": lambda: gateway.generate("x"),
            "stream": lambda: list(stream),
            "batch": lambda: batch_generate(gateway, ["x", "y", "z"]),
        }
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            calls[way]()
        thread.join()
        until(lambda: patient.cancelled == (3 if way == "batch" else 1))
        patient.release.set()
        assert gateway.generate("still here").text == "still here"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("awaited", [False, True])
def test_a_call_begins_anew_where_home_ends_under_it(
    gateway_of: Any, patient: Any, until: Any, streamed: bool, awaited: bool
) -> None:
    """The loop that happened to be home has nothing to do with whoever calls from another thread."""
    given: list[Any] = []

    async def ask() -> None:
        if streamed:
            given.append("".join([text async for text in gateway.generate_stream("x")]))
        else:
            given.append((await gateway.generate_async("x")).text)

    def ask_blocking() -> None:
        given.append("".join(gateway.generate_stream("x")) if streamed else gateway.generate("x").text)

    async def main() -> threading.Thread:
        await gateway._home.arrive()
        thread = threading.Thread(target=(lambda: asyncio.run(ask())) if awaited else ask_blocking)
        thread.start()
        while not patient.started:
            await asyncio.sleep(0.002)
        return thread

    patient.first_chunk_waits = True
    gateway = gateway_of(patient)
    thread = asyncio.run(main())
    until(lambda: patient.started == 2)
    patient.release.set()
    thread.join(10)
    assert given == ["0 1 2 " if streamed else "x"]
    assert patient.cancelled == 1
    gateway.close()


def test_a_stream_that_has_begun_ends_with_its_home(gateway_of: Any, patient: Any) -> None:
    ended: list[BaseException] = []

    def read() -> None:
        try:
            list(gateway.generate_stream("x"))
        except BaseException as error:
            ended.append(error)

    async def main() -> threading.Thread:
        await gateway._home.arrive()
        thread = threading.Thread(target=read)
        thread.start()
        while not patient.given:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)
        return thread

    gateway = gateway_of(patient)
    asyncio.run(main()).join(10)
    assert [type(error) for error in ended] == [LoopEnded]
    assert isinstance(ended[0], CallCancelled)
    gateway.close()


async def test_a_provider_that_cancels_itself_is_no_lost_home(gateway_of: Any, monkeypatch: Any) -> None:
    from gatewright.gateway import home

    class Confused:
        async def __call__(self, call: Any, /) -> Any:
            raise asyncio.CancelledError

        async def aclose(self) -> None: ...

    monkeypatch.setattr(home, "MOVE_SECONDS", 0.05)
    async with gateway_of(Confused()) as gateway:
        with pytest.raises(CallCancelled):
            await asyncio.to_thread(gateway.generate, "x")


@NEVER_TURNS
def test_a_call_handed_to_a_loop_that_never_turns_again(gateway_of: Any, upstream: Any) -> None:
    """The loop still runs when the call is handed over, and stops before it gets to it."""
    loop = asyncio.new_event_loop()
    gateway = gateway_of(upstream)
    answers: list[str] = []

    async def main() -> threading.Thread:
        await gateway._home.arrive()
        thread = threading.Thread(target=lambda: answers.append(gateway.generate("x").text))
        thread.start()
        while len(loop._ready) < 1:  # type: ignore[attr-defined]
            time.sleep(0.001)  # noqa: ASYNC251 - the loop stands still while the call is handed over
        loop.stop()
        handed_over = list(loop._ready)  # type: ignore[attr-defined]
        loop._ready.clear()  # type: ignore[attr-defined]
        assert handed_over
        return thread

    thread = loop.run_until_complete(main())
    thread.join(20)
    assert answers == ["x"]
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    gateway.close()


async def test_a_deadline_is_no_lost_home(gateway_of: Any, patient: Any) -> None:
    """`DeadlineExceeded` is a `TimeoutError`, and must not be taken for the waiting's own."""
    gateway = gateway_of(patient)
    with pytest.raises(DeadlineExceeded):
        await asyncio.to_thread(gateway.generate, "x", timeout=0.05)
    await gateway.aclose()


def test_uvloop_as_home(gateway_of: Any, upstream: Any, until: Any) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        assert (await gateway.generate_async("a")).text == "a"
        assert [text async for text in gateway.generate_stream("3")] == ["0 ", "1 ", "2 "]
        assert (await asyncio.to_thread(gateway.generate, "b")).text == "b"

    gateway = gateway_of(upstream)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    until(lambda: upstream.connections == 0)
    assert gateway.generate("c").text == "c"
    gateway.close()


async def test_context_variables_reach_a_call_from_another_thread(gateway_of: Any) -> None:
    import contextvars

    from gatewright.testing import ScriptedProvider

    seen: list[str] = []
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    class Provider(ScriptedProvider):
        async def __call__(self, call: Any, /) -> Any:
            seen.append(who.get())
            return await super().__call__(call)

    def ask() -> None:
        who.set("me")
        gateway.generate("x")

    async with gateway_of(Provider(["a"])) as gateway:
        await asyncio.to_thread(ask)
    assert seen == ["me"]
