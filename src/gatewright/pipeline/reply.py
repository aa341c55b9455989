"""A reply: a stream of chunks that add up to one value, settled exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Generic, NoReturn, Self, TypeVar

import msgspec

from gatewright.errors import CallCancelled, GatewayError
from gatewright.pipeline.fold import Fold
from gatewright.pipeline.settling import Ending, Outcome, Settled, call_settled, keep_settling
from gatewright.types.limits import ProviderLimits
from gatewright.types.responses import CacheStatus

__all__ = ["Fold", "Outcome", "Reply", "Settled"]

log = logging.getLogger("gatewright.reply")

C = TypeVar("C")
V = TypeVar("V")
D = TypeVar("D")
W = TypeVar("W")

# A whole reply has no buffer until someone reads its chunks: hardly anyone does. Nothing can be put into this one.
_NOTHING: deque[Any] = deque(maxlen=0)


class Reply(msgspec.Struct, Generic[C, V], eq=False, weakref=True):
    """Chunks that add up to a value; consume it in `async with reply`.

    A whole answer is `Reply.whole(value, chunks)`. A stream is `await Reply.begin(batches, fold)`: `batches` is an
    async generator of lists of chunks (what one network read brought), and the first list has come when `begin`
    returns, so that until then a failure is an ordinary exception of the call.

    Settled exactly once: `completed` when the last chunk was read, `failed` when reading raised or it was
    interrupted, `abandoned` when it was closed early or its reader was cancelled. Callbacks run last registered
    first, shielded from cancellation. The outcome's value is what was read, not what lay unread in the buffer.
    """

    _source: AsyncGenerator[list[C], None] | None
    _fold: Fold[C, V] | None
    is_whole: bool = False
    """Whether the value was there from the start."""
    given: Any = None
    """The value, where it was there from the start."""
    _chunks_of: Callable[[V], Iterable[C]] | None = None
    _buffer: deque[C] = _NOTHING
    _on_settled: list[Settled] | None = None
    _reader: asyncio.Task[Any] | None = None  # the task that drives the source: reads it, or closes it
    _interruption: GatewayError | None = None
    _untold: GatewayError | None = None  # the same, until whoever reads it next was told
    _cancelled: bool = False  # the reader, by an interruption
    _closed: bool = False  # by another task than the reader's
    _stopping: bool = False  # the source is being closed
    outcome: Outcome[V] | None = None
    attempts: int = 1
    cached: bool = False
    cache_status: CacheStatus | None = None
    cache_age: float | None = None
    age: float = 0.0
    """Seconds since another process had it, whose call it shares."""
    # Takes what was kept of it out of the cache: whoever has read it cannot use it.
    discard: Callable[[], None] | None = None
    limits: ProviderLimits | None = None
    warnings: tuple[str, ...] = ()  # of guardrails, about the request
    # Words the error with which reading fails, given what was read until then.
    on_failure: Callable[[BaseException, V], BaseException] | None = None

    @staticmethod
    def whole(value: W, chunks_of: Callable[[W], Iterable[Any]] | None = None) -> Reply[Any, W]:
        """Make a reply of a value that is there already; `chunks_of` gives its chunks if someone reads them."""
        return Reply(None, None, True, value, chunks_of)

    @staticmethod
    async def begin(batches: AsyncGenerator[list[D], None], fold: Fold[D, W]) -> Reply[D, W]:
        """Await the first chunk and make a reply of the stream; what fails until then is raised here."""
        reply = Reply(batches, fold)
        reply._buffer = buffer = deque[D]()
        try:
            while not buffer:
                buffer.extend(await anext(batches))
        except StopAsyncIteration:
            pass
        except BaseException:
            await batches.aclose()
            raise
        return reply

    def __repr__(self) -> str:
        state = "open" if self.outcome is None else self.outcome.state
        return f"<Reply {state}>"  # not what it says: that is its reader's

    def like(self, source: Reply[Any, Any]) -> Self:
        """Say of itself what `source` does, in whose place it comes."""
        self.attempts, self.limits, self.warnings = source.attempts, source.limits, source.warnings
        self.cached, self.cache_status, self.cache_age = source.cached, source.cache_status, source.cache_age
        self.age = source.age
        return self

    @property
    def settled(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    def when_settled(self, callback: Settled) -> None:
        """Have `callback(outcome)` called, or its awaitable awaited, when this ends; at once if it has."""
        if self.outcome is None:
            if self._on_settled is None:
                self._on_settled = [callback]
            else:
                self._on_settled.append(callback)
        else:
            call_settled([callback], self.outcome)

    async def value(self) -> V:
        """Read to the end and give the value."""
        if self.is_whole:
            if self.outcome is None and (task := self._finish("completed")) is not None:
                await asyncio.shield(task)
            return self.given
        while await self.batch():
            pass
        assert self.outcome is not None
        if self.outcome.state != "completed":
            raise self.outcome.error or CallCancelled("the reply was closed before its end")
        return self.outcome.value

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

        What was buffered is dropped, and the source closed at once: nobody may come to read any more. A whole reply
        has all there is to come and is not interrupted.
        """
        if self.outcome is not None or self._interruption is not None or self._stopping or self.is_whole:
            return
        self._interruption = error
        self._buffer.clear()
        if self._reader is None:
            self._untold = error
            keep_settling(self._stop_unread(error))
        # A task that interrupts its own read gets the error when the source comes back.
        elif self._reader is not asyncio.current_task():
            self._cancelled = self._reader.cancel()

    def partial(self) -> V:
        """Give the value as far as it has been read."""
        return self._fold.value() if self._fold is not None else self.given

    async def _fill(self) -> bool:
        """Read the next batch into the buffer; False at the end."""
        if self.outcome is None:
            if self._source is None:
                return await self._fill_from_value()
            if self._stopping:
                await self._ended()
            elif self._reader is not None:
                raise RuntimeError("this reply is being read by another task")
            elif self._interruption is not None:
                await self._stop("failed", self._interruption)
            else:
                return await self._read(self._source)
        if (error := self._untold) is not None:
            self._untold = None
            raise error
        return False

    async def _read(self, source: AsyncGenerator[list[C], None]) -> bool:
        self._reader = reader = asyncio.current_task()
        if self._buffer is _NOTHING:
            self._buffer = deque()
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

    async def _stop_unread(self, error: GatewayError) -> None:
        """Stop it while its reader is elsewhere, unless they come before."""
        if self.outcome is None and not self._stopping:
            await self._stop("failed", error)

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
        self._on_settled = [lambda _: None if ended.done() else ended.set_result(None), *(self._on_settled or ())]
        await ended

    async def _fill_from_value(self) -> bool:
        if self._chunks_of is not None:
            self._buffer = deque(self._chunks_of(self.given))
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
        value = self.given if self._fold is None else self._fold.value()
        self.outcome = outcome = Outcome(state, value, error)
        callbacks, self._on_settled = self._on_settled, None
        return None if callbacks is None else call_settled(callbacks, outcome)
