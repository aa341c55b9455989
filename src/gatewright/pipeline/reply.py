"""A reply: a stream of chunks that add up to one value, settled exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Generic, NoReturn, Self, TypeVar

from gatewright.errors import CallCancelled, GatewayError
from gatewright.pipeline.fold import Fold
from gatewright.pipeline.settling import Ending, Outcome, Settled, call_settled
from gatewright.types.limits import ProviderLimits
from gatewright.types.responses import CacheStatus

__all__ = ["Fold", "Outcome", "Reply", "Settled"]

log = logging.getLogger("gatewright.reply")

C = TypeVar("C")
V = TypeVar("V")
D = TypeVar("D")
W = TypeVar("W")


class Reply(Generic[C, V]):
    """Chunks that add up to a value; consume it in `async with reply`.

    A whole answer is `Reply.whole(value, chunks)`. A stream is `await Reply.begin(batches, fold)`: `batches` is an
    async generator of lists of chunks (what one network read brought), and the first list has come when `begin`
    returns, so that until then a failure is an ordinary exception of the call.

    Settled exactly once: `completed` when the last chunk was read, `failed` when reading raised or it was
    interrupted, `abandoned` when it was closed early or its reader was cancelled. Callbacks run last registered
    first, shielded from cancellation. The outcome's value is what was read, not what lay unread in the buffer.
    """

    __slots__ = (
        "_buffer",
        "_cancelled",
        "_chunks_of",
        "_closed",
        "_fold",
        "_interruption",
        "_on_settled",
        "_reader",
        "_source",
        "_stopping",
        "_value",
        "_whole",
        "attempts",
        "cache_age",
        "cache_status",
        "cached",
        "discard",
        "limits",
        "on_failure",
        "outcome",
        "warnings",
    )

    def __init__(self, source: AsyncGenerator[list[C], None] | None, fold: Fold[C, V] | None) -> None:
        self._source = source
        self._fold = fold
        self._buffer: deque[C] = deque()
        self._on_settled: list[Settled] = []
        self._reader: asyncio.Task[Any] | None = None  # the task that drives the source: reads it, or closes it
        self._interruption: GatewayError | None = None
        self._cancelled = False  # the reader, by an interruption
        self._closed = False  # by another task than the reader's
        self._stopping = False  # the source is being closed
        self._chunks_of: Callable[[V], Iterable[C]] | None = None
        self._whole = False
        self._value: Any = None
        self.outcome: Outcome[V] | None = None
        self.attempts = 1
        self.cached = False
        self.cache_status: CacheStatus | None = None
        self.cache_age: float | None = None
        # Takes what was kept of it out of the cache: whoever has read it cannot use it.
        self.discard: Callable[[], None] | None = None
        self.limits: ProviderLimits | None = None
        self.warnings: tuple[str, ...] = ()  # of guardrails, about the request
        # Words the error with which reading fails, given what was read until then.
        self.on_failure: Callable[[BaseException, V], BaseException] | None = None

    @staticmethod
    def whole(value: W, chunks_of: Callable[[W], Iterable[Any]] | None = None) -> Reply[Any, W]:
        """Make a reply of a value that is there already; `chunks_of` gives its chunks if someone reads them."""
        reply: Reply[Any, W] = Reply(None, None)
        reply._value = value
        reply._whole = True
        reply._chunks_of = chunks_of
        return reply

    @staticmethod
    async def begin(batches: AsyncGenerator[list[D], None], fold: Fold[D, W]) -> Reply[D, W]:
        """Await the first chunk and make a reply of the stream; what fails until then is raised here."""
        reply = Reply(batches, fold)
        try:
            while not reply._buffer:
                reply._buffer.extend(await anext(batches))
        except StopAsyncIteration:
            pass
        except BaseException:
            await batches.aclose()
            raise
        return reply

    def like(self, source: Reply[Any, Any]) -> Self:
        """Say of itself what `source` does, in whose place it comes."""
        self.attempts, self.limits, self.warnings = source.attempts, source.limits, source.warnings
        self.cached, self.cache_status, self.cache_age = source.cached, source.cache_status, source.cache_age
        return self

    @property
    def settled(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    @property
    def is_whole(self) -> bool:
        """Whether the value was there from the start."""
        return self._whole

    def when_settled(self, callback: Settled) -> None:
        """Have `callback(outcome)` called, or its awaitable awaited, when this ends; at once if it has."""
        if self.outcome is None:
            self._on_settled.append(callback)
        else:
            call_settled([callback], self.outcome)

    async def value(self) -> V:
        """Read to the end and give the value."""
        if not self._whole:
            while await self.batch():
                pass
            assert self.outcome is not None
            if self.outcome.state != "completed":
                raise self.outcome.error or CallCancelled("the reply was closed before its end")
            return self.outcome.value
        if self.outcome is None:
            await self._settle("completed")
        return self._value

    async def batch(self) -> list[C]:
        """Give all chunks that have come and were not read, waiting for at least one; none at the end."""
        if not self._buffer and not await self._fill():
            return []
        batch = list(self._buffer)
        self._buffer.clear()
        if (fold := self._fold) is not None:
            for chunk in batch:
                fold.add(chunk)
        return batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> C:
        if not self._buffer and not await self._fill():
            raise StopAsyncIteration
        chunk = self._buffer.popleft()
        if self._fold is not None:
            self._fold.add(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.outcome is None:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop reading: what has not ended ends as `abandoned`, and its source is closed.

        A read under way in another task gets `CallCancelled`; this returns when the reply is settled.
        """
        if self.outcome is not None:
            return
        if self._reader is None and not self._stopping:
            await self._stop("abandoned" if self._interruption is None else "failed", self._interruption)
            return
        if self._interruption is None:
            self._closed = True
            self.interrupt(CallCancelled("the reply was closed while it was being read"))
        await self._ended()

    def interrupt(self, error: GatewayError) -> None:
        """End the stream with `error`: whoever is reading it, or reads it next, gets that error raised.

        What was buffered is dropped. A whole reply has all there is to come and is not interrupted.
        """
        if self.outcome is not None or self._interruption is not None or self._stopping or self._whole:
            return
        self._interruption = error
        self._buffer.clear()
        # A task that interrupts its own read gets the error when the source comes back.
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._cancelled = self._reader.cancel()

    def partial(self) -> V:
        """Give the value as far as it has been read."""
        return self._fold.value() if self._fold is not None else self._value

    async def _fill(self) -> bool:
        """Read the next batch into the buffer; False at the end."""
        if self.outcome is not None:
            return False
        if self._source is None:
            return await self._fill_from_value()
        if self._stopping:
            await self._ended()
            return False
        if self._reader is not None:
            raise RuntimeError("this reply is being read by another task")
        if self._interruption is not None:
            await self._stop("failed", self._interruption)
            raise self._interruption
        return await self._read(self._source)

    async def _read(self, source: AsyncGenerator[list[C], None]) -> bool:
        self._reader = reader = asyncio.current_task()
        cancelling = reader.cancelling() if reader is not None else 0
        try:
            while not self._buffer:
                self._buffer.extend(await anext(source))
            if self._interruption is None:
                self._reader = None
                return True
        except StopAsyncIteration:
            if self._interruption is None:
                await self._settle("completed")
                return False
        except GeneratorExit:
            self._finish("abandoned")  # this coroutine is being closed: it may not await any more
            raise
        except asyncio.CancelledError:
            if self._interruption is None:
                await self._stop("abandoned")
                raise
        except BaseException as error:
            if self._interruption is None:
                self._reader = None
                if self.on_failure is not None:
                    error = self.on_failure(error, self.partial())
                await self._stop("failed", error)
                raise error
        return await self._end_interrupted(reader, cancelling)

    async def _end_interrupted(self, reader: asyncio.Task[Any] | None, cancelling: int) -> NoReturn:
        """Settle an interrupted read; a cancellation of the reader that came from elsewhere goes on."""
        error = self._interruption
        assert error is not None
        cancelled_too = reader is not None and self._cancelled and reader.uncancel() > cancelling
        if self._closed:
            await self._stop("abandoned")
        else:
            await self._stop("failed", error)
        if cancelled_too:
            raise asyncio.CancelledError
        raise error

    async def _stop(self, state: Ending, error: BaseException | None = None) -> None:
        """Close the source and settle."""
        self._reader, self._stopping = asyncio.current_task(), True
        try:
            if self._source is not None:
                await self._source.aclose()
        except GeneratorExit:
            self._finish(state, error)
            raise
        except Exception:
            log.exception("closing the source of a reply failed")
        finally:
            await self._settle(state, error)

    async def _ended(self) -> None:
        """Wait until the task that reads or closes the source has settled this."""
        if self._reader is asyncio.current_task():
            return
        ended = asyncio.get_running_loop().create_future()
        self._on_settled.insert(0, lambda _: None if ended.done() else ended.set_result(None))
        await ended

    async def _fill_from_value(self) -> bool:
        if self._chunks_of is not None:
            self._buffer.extend(self._chunks_of(self._value))
            self._chunks_of = None
            if self._buffer:
                return True
        await self._settle("completed")
        return False

    async def _settle(self, state: Ending, error: BaseException | None = None) -> None:
        task = self._finish(state, error)
        if task is not None:
            await asyncio.shield(task)

    def _finish(self, state: Ending, error: BaseException | None = None) -> asyncio.Task[None] | None:
        """Settle now; what the callbacks have to await goes on in the task that is given back."""
        if self.outcome is not None:
            return None
        self._reader = None
        self._buffer.clear()
        self.outcome = outcome = Outcome(state, self.partial(), error)
        callbacks, self._on_settled = self._on_settled, []
        return call_settled(callbacks, outcome)
