from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from gatewright.errors import CallCancelled, ConnectionFailed, DeadlineExceeded
from gatewright.pipeline.reply import Outcome, Reply


class Joined:
    """A fold of strings."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def add(self, chunk: str, /) -> None:
        self.parts.append(chunk)

    def value(self) -> str:
        return "".join(self.parts)


class Source:
    """Batches that come when they are let, and whether their generator was closed."""

    def __init__(self, *batches: list[str] | BaseException, waits_at: int | None = None) -> None:
        self.batches = batches
        self.waits_at = waits_at
        self.gate = asyncio.Event()
        self.closed = 0
        self.closing_takes: asyncio.Event | None = None
        self.swallows_cancellation = False

    async def generate(self) -> AsyncGenerator[list[str], None]:
        try:
            for place, batch in enumerate(self.batches):
                if place == self.waits_at:
                    await self._wait()
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            if self.closing_takes is not None:
                await self.closing_takes.wait()
            self.closed += 1

    async def _wait(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            if not self.swallows_cancellation:
                raise

    async def reply(self) -> Reply[str, str]:
        return await Reply.begin(self.generate(), Joined())


def endings(reply: Reply[Any, Any]) -> list[Outcome[Any]]:
    """Give a list that every settlement is added to."""
    found: list[Outcome[Any]] = []
    reply.when_settled(found.append)
    return found


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class TestWhole:
    async def test_value_completes(self) -> None:
        reply = Reply[str, str].whole("all")
        found = endings(reply)
        async with reply:
            assert await reply.value() == "all"
        assert found == [Outcome("completed", "all")]
        assert reply.is_whole

    async def test_chunks_are_made_from_the_value(self) -> None:
        def letters(value: str) -> Iterator[str]:
            return iter(value)

        reply = Reply[str, str].whole("abc", letters)
        found = endings(reply)
        assert [chunk async for chunk in reply] == ["a", "b", "c"]
        assert [outcome.state for outcome in found] == ["completed"]

    async def test_unread_is_abandoned_with_its_value(self) -> None:
        reply = Reply[str, str].whole("all")
        async with reply:
            pass
        assert reply.outcome == Outcome("abandoned", "all")

    async def test_an_interruption_comes_too_late(self) -> None:
        reply = Reply[str, str].whole("all")
        reply.interrupt(DeadlineExceeded("late"))
        assert await reply.value() == "all"
        assert reply.outcome == Outcome("completed", "all")


class TestBeginning:
    async def test_a_failure_before_the_first_chunk_is_the_calls_own(self) -> None:
        source = Source([], ConnectionFailed("refused"))
        with pytest.raises(ConnectionFailed):
            await source.reply()
        assert source.closed == 1

    async def test_cancelled_before_the_first_chunk(self) -> None:
        source = Source(["a"], waits_at=0)
        task = asyncio.create_task(source.reply())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.closed == 1

    async def test_a_stream_of_nothing_completes(self) -> None:
        async with await Source([], []).reply() as reply:
            assert await reply.value() == ""
        assert reply.outcome == Outcome("completed", "")


class TestReading:
    async def test_chunk_by_chunk_and_by_batches(self) -> None:
        async with await Source(["a", "b"], [], ["c", "d"]).reply() as reply:
            assert await anext(reply) == "a"
            assert await reply.batch() == ["b"]
            assert reply.partial() == "ab"
            assert await reply.batch() == ["c", "d"]
            assert await reply.batch() == []
            assert await reply.value() == "abcd"
        assert reply.outcome == Outcome("completed", "abcd")

    async def test_a_failure_after_the_first_chunk(self) -> None:
        error = ConnectionFailed("broken")
        reply = await Source(["a"], error).reply()
        found = endings(reply)
        with pytest.raises(ConnectionFailed):
            await reply.value()
        with pytest.raises(ConnectionFailed):
            await reply.value()
        assert found == [Outcome("failed", "a", error)]

    async def test_a_failure_is_worded_with_what_was_read(self) -> None:
        reply = await Source(["a"], ConnectionFailed("broken")).reply()
        reply.on_failure = lambda error, value: CallCancelled(f"{error} after {value}")
        with pytest.raises(CallCancelled, match="broken after a") as caught:
            await reply.value()
        assert reply.outcome == Outcome("failed", "a", caught.value)

    async def test_a_wording_that_fails_leaves_a_reply_that_can_be_closed(self) -> None:
        def fails(_error: BaseException, _value: str) -> BaseException:
            raise LookupError("no word for it")

        reply = await Source(["a"], ConnectionFailed("broken")).reply()
        reply.on_failure = fails
        with pytest.raises(LookupError):
            async with reply:
                await reply.value()
        assert reply.outcome == Outcome("abandoned", "a")

    async def test_a_second_reader_is_refused_and_the_first_reads_on(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        assert await anext(reply) == "a"
        first = asyncio.create_task(reply.value())
        await turns()
        with pytest.raises(RuntimeError, match="another task"):
            await anext(reply)
        source.gate.set()
        assert await first == "ab"

    async def test_a_source_that_breaks_its_promise_is_closed(self) -> None:
        source = Source(["a"], 7)  # type: ignore[arg-type]
        reply = await source.reply()
        with pytest.raises(TypeError):
            await reply.value()
        assert source.closed == 1
        assert reply.outcome is not None
        assert reply.outcome.state == "failed"

    async def test_a_cancelled_reader_abandons(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        found = endings(reply)
        task = asyncio.create_task(reply.value())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert found == [Outcome("abandoned", "a")]
        assert source.closed == 1

    async def test_a_reading_coroutine_that_is_thrown_away_abandons(self) -> None:
        # Not an async generator: Python 3.11 leaves one whose reader is thrown away "running" for ever.
        class Waiting:
            async def __anext__(self) -> list[str]:
                await asyncio.Event().wait()
                return []

        reply: Reply[str, str] = Reply(Waiting(), Joined())  # type: ignore[arg-type]
        settled = asyncio.Event()

        async def set_later(_: Outcome[Any]) -> None:
            await asyncio.sleep(0)
            settled.set()

        reply.when_settled(set_later)
        read = reply.batch()
        read.send(None)
        read.close()
        assert reply.outcome == Outcome("abandoned", "")
        await settled.wait()


class TestClosing:
    async def test_early(self) -> None:
        source = Source(["a", "b"], ["c"])
        reply = await source.reply()
        async with reply:
            assert await anext(reply) == "a"
        assert reply.outcome == Outcome("abandoned", "a")
        assert source.closed == 1
        assert [chunk async for chunk in reply] == []
        with pytest.raises(CallCancelled):
            await reply.value()

    async def test_while_another_task_reads_waits_for_the_end(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        found = endings(reply)
        task = asyncio.create_task(reply.value())
        await turns()
        await reply.aclose()
        assert found == [Outcome("abandoned", "a")]
        assert source.closed == 1
        with pytest.raises(CallCancelled):
            await task
        assert task.cancelling() == 0

    async def test_twice_at_once(self) -> None:
        source = Source(["a"], ["b"])
        source.closing_takes = asyncio.Event()
        reply = await source.reply()
        found = endings(reply)
        both = asyncio.gather(reply.aclose(), reply.aclose())
        await turns()
        assert not found
        source.closing_takes.set()
        await both
        assert [outcome.state for outcome in found] == ["abandoned"]

    async def test_a_read_during_the_close_finds_the_end(self) -> None:
        source = Source(["a"], ["b"])
        source.closing_takes = asyncio.Event()
        reply = await source.reply()
        await reply.batch()
        close = asyncio.create_task(reply.aclose())
        await turns()
        read = asyncio.create_task(reply.batch())
        await turns()
        source.closing_takes.set()
        assert await read == []
        await close

    async def test_by_the_source_itself(self) -> None:
        replies: list[Reply[str, str]] = []

        async def generate() -> AsyncGenerator[list[str], None]:
            try:
                yield ["a"]
                await replies[0].aclose()
                yield ["b"]
            finally:
                await replies[0].aclose()

        replies.append(await Reply.begin(generate(), Joined()))
        with pytest.raises(CallCancelled):
            await replies[0].value()
        assert replies[0].outcome == Outcome("abandoned", "a")

    async def test_a_source_that_fails_to_close_still_settles(self, caplog: pytest.LogCaptureFixture) -> None:
        async def generate() -> AsyncGenerator[list[str], None]:
            try:
                yield ["a"]
            finally:
                raise OSError("no")

        reply = await Reply.begin(generate(), Joined())
        await reply.aclose()
        assert reply.outcome == Outcome("abandoned", "")
        assert "closing the source" in caplog.text


class TestInterrupting:
    async def test_a_read_under_way(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        found = endings(reply)
        error = DeadlineExceeded("too late")
        asyncio.get_running_loop().call_soon(reply.interrupt, error)
        with pytest.raises(DeadlineExceeded):
            await reply.value()
        assert found == [Outcome("failed", "a", error)]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def test_the_next_read_with_chunks_in_the_buffer(self) -> None:
        source = Source(["a", "b", "c"])
        reply = await source.reply()
        assert await anext(reply) == "a"
        error = DeadlineExceeded("too late")
        reply.interrupt(error)
        reply.interrupt(DeadlineExceeded("later still"))
        with pytest.raises(DeadlineExceeded, match="too late"):
            await anext(reply)
        assert reply.outcome == Outcome("failed", "a", error)
        assert source.closed == 1

    async def test_it_ends_though_nobody_comes_to_read(self) -> None:
        source = Source(["a", "b"], ["c"])
        reply = await source.reply()
        found = endings(reply)
        assert await anext(reply) == "a"
        error = DeadlineExceeded("too late")
        reply.interrupt(error)
        await turns()
        assert (source.closed, found) == (1, [Outcome("failed", "a", error)])
        with pytest.raises(DeadlineExceeded):
            await anext(reply)
        with pytest.raises(StopAsyncIteration):
            await anext(reply)

    async def test_a_reader_who_comes_while_it_is_ending(self) -> None:
        source = Source(["a"], ["b"])
        reply = await source.reply()
        assert await anext(reply) == "a"
        reply.interrupt(DeadlineExceeded("too late"))
        reading = asyncio.create_task(reply.batch())
        with pytest.raises(DeadlineExceeded):
            await reading
        assert source.closed == 1

    async def test_then_closed_unread(self) -> None:
        reply = await Source(["a"]).reply()
        error = DeadlineExceeded("too late")
        reply.interrupt(error)
        await reply.aclose()
        assert reply.outcome == Outcome("failed", "", error)

    async def test_a_source_that_swallows_the_cancellation(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        source.swallows_cancellation = True
        reply = await source.reply()
        asyncio.get_running_loop().call_soon(reply.interrupt, DeadlineExceeded("too late"))
        with pytest.raises(DeadlineExceeded):
            await reply.value()
        assert source.closed == 1
        await asyncio.sleep(0)

    @pytest.mark.parametrize("interrupted_first", [True, False])
    async def test_a_cancellation_at_the_same_time_is_not_lost(self, interrupted_first: bool) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        task = asyncio.create_task(reply.value())
        await turns()
        error = DeadlineExceeded("too late")
        steps = [lambda: reply.interrupt(error), task.cancel]
        for step in steps if interrupted_first else reversed(steps):
            step()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reply.outcome == Outcome("failed", "a", error)

    async def test_the_readers_own_timeout_still_works_afterwards(self) -> None:
        source = Source(["a"], ["b"], waits_at=1)
        reply = await source.reply()
        asyncio.get_running_loop().call_soon(reply.interrupt, DeadlineExceeded("too late"))
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.01):
                with pytest.raises(DeadlineExceeded):
                    await reply.value()
                await asyncio.Event().wait()
        assert not isinstance(caught.value, DeadlineExceeded)


class TestSettling:
    async def test_last_registered_first_whatever_awaits(self) -> None:
        order: list[int] = []
        reply = await Source(["a"]).reply()

        def plain(number: int) -> Any:
            def callback(_: Outcome[Any]) -> None:
                order.append(number)

            return callback

        def awaiting(number: int) -> Any:
            async def callback(_: Outcome[Any]) -> None:
                await turns(2)
                order.append(number)

            return callback

        for number, kind in enumerate([plain, awaiting, plain, awaiting, plain]):
            reply.when_settled(kind(number))
        await reply.value()
        assert order == [4, 3, 2, 1, 0]

    async def test_a_late_callback_is_called_at_once(self) -> None:
        reply = Reply[str, str].whole("all")
        await reply.value()
        assert endings(reply) == [Outcome("completed", "all")]

    async def test_failing_callbacks_stop_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        reply = await Source(["a"]).reply()
        found = endings(reply)

        async def fails_later(_: Outcome[Any]) -> None:
            await asyncio.sleep(0)
            raise OSError("later")

        async def waits_for_something_cancelled(_: Outcome[Any]) -> None:
            other = asyncio.create_task(asyncio.sleep(60))
            other.cancel()
            await other

        def fails(_: Outcome[Any]) -> None:
            raise OSError("at once")

        for callback in (fails_later, waits_for_something_cancelled, fails):
            reply.when_settled(callback)
        assert await reply.value() == "a"
        assert len(found) == 1
        assert caplog.text.count("settling a reply failed") == 3

    async def test_a_cancelled_reader_does_not_stop_it(self) -> None:
        reply = await Source(["a"]).reply()
        found = endings(reply)
        gate = asyncio.Event()

        async def waits(_: Outcome[Any]) -> None:
            await gate.wait()
            found.append(Outcome("completed", "waited"))

        reply.when_settled(waits)
        task = asyncio.create_task(reply.value())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert found == []
        gate.set()
        await turns()
        assert [outcome.value for outcome in found] == ["waited", "a"]

    async def test_the_callbacks_see_a_settled_reply(self) -> None:
        reply = await Source(["a", "b"]).reply()
        seen: list[bool] = []

        async def looks(_: Outcome[Any]) -> None:
            await reply.aclose()
            reply.interrupt(DeadlineExceeded("too late"))
            seen.append(reply.settled)

        reply.when_settled(looks)
        await reply.aclose()
        assert seen == [True]
