"""A reply: a stream of chunks that add up to one value, settled exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import msgspec

from gatewright.errors import CallCancelled, GatewayError

__all__ = ["Fold", "Outcome", "Reply", "Settled"]

log = logging.getLogger("gatewright.reply")

C = TypeVar("C")
V = TypeVar("V")
C_contra = TypeVar("C_contra", contravariant=True)
V_co = TypeVar("V_co", covariant=True)


class Fold(Protocol[C_contra, V_co]):
    """Adds chunks up to a value."""

    def add(self, chunk: C_contra, /) -> None:
        """Add one chunk."""
        ...

    def value(self) -> V_co:
        """Give what the chunks so far add up to."""
        ...


class Outcome(msgspec.Struct, Generic[V], frozen=True):
    """How a reply ended, with the value as far as it came and the error where it failed."""

    state: Literal["completed", "failed", "abandoned"]
    value: V
    error: BaseException | None = None


Settled = Callable[[Outcome[Any]], Awaitable[None] | None]

# Settlements that outlive a cancelled reader: the loop itself keeps only weak references to tasks.
_settling: set[asyncio.Task[None]] = set()


class Reply(Generic[C, V]):
    """Chunks that add up to a value; consume it in `async with reply`.

    A whole answer is `Reply.whole(value, chunks)`. A stream is `await Reply.begin(batches, fold)`: `batches` is an
    async generator of lists of chunks (what one network read brought), and the first list has come when `begin`
    returns, so that until then a failure is an ordinary exception of the call.

    Settled exactly once: `completed` when the last chunk was read, `failed` when reading raised, `abandoned` when
    the reader closed it early or was cancelled. Callbacks run last registered first, shielded from cancellation.
    """

    __slots__ = (
        "_buffer",
        "_chunks_of",
        "_fold",
        "_interruption",
        "_on_settled",
        "_reader",
        "_source",
        "_value",
        "_whole",
        "attempts",
        "cached",
        "outcome",
    )

    def __init__(self, source: AsyncGenerator[list[C], None] | None, fold: Fold[C, V] | None) -> None:
        self._source = source
        self._fold = fold
        self._buffer: deque[C] = deque()
        self._on_settled: list[Settled] = []
        self._reader: asyncio.Task[Any] | None = None
        self._interruption: GatewayError | None = None
        self._chunks_of: Callable[[V], Iterable[C]] | None = None
        self._whole = False
        self._value: Any = None
        self.outcome: Outcome[V] | None = None
        self.attempts = 1
        self.cached = False

    @classmethod
    def whole(cls, value: V, chunks_of: Callable[[V], Iterable[C]] | None = None) -> Self:
        """Make a reply of a value that is there already; `chunks_of` gives its chunks if someone reads them."""
        reply = cls(None, None)
        reply._value = value
        reply._whole = True
        reply._chunks_of = chunks_of
        return reply

    @classmethod
    async def begin(cls, batches: AsyncGenerator[list[C], None], fold: Fold[C, V]) -> Self:
        """Await the first chunk and make a reply of the stream; what fails until then is raised here."""
        reply = cls(batches, fold)
        try:
            while not reply._buffer:
                reply._buffer.extend(await anext(batches))
        except StopAsyncIteration:
            pass
        except BaseException:
            await batches.aclose()
            raise
        return reply

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
            _keep(_run([callback], self.outcome))

    async def value(self) -> V:
        """Read to the end and give the value."""
        if not self._whole:
            while await self.batch():
                pass
            assert self.outcome is not None
            if self.outcome.error is not None:
                raise self.outcome.error
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
        """Stop reading: what has not ended ends as `abandoned`, and its source is closed."""
        if self.outcome is not None:
            return
        if self._reader is not None:
            self.interrupt(CallCancelled("the reply was closed while it was being read"))
            return
        try:
            if self._source is not None:
                await self._source.aclose()
        finally:
            await self._settle("abandoned")

    def interrupt(self, error: GatewayError) -> None:
        """End the stream with `error`: whoever is reading it, or reads it next, gets that error raised."""
        if self.outcome is not None or self._interruption is not None:
            return
        self._interruption = error
        if self._reader is not None:
            self._reader.cancel()

    def partial(self) -> V:
        """Give the value as far as it has been read."""
        return self._fold.value() if self._fold is not None else self._value

    async def _fill(self) -> bool:
        """Read the next batch into the buffer; False at the end."""
        if self.outcome is not None:
            return False
        if self._source is None:
            return await self._fill_from_value()
        if self._reader is not None:
            raise RuntimeError("this reply is being read by another task")
        if self._interruption is not None:
            await self._stop(self._interruption)
            raise self._interruption
        return await self._read(self._source)

    async def _read(self, source: AsyncGenerator[list[C], None]) -> bool:
        self._reader = reader = asyncio.current_task()
        try:
            while not self._buffer:
                self._buffer.extend(await anext(source))
        except StopAsyncIteration:
            self._reader = None
            await self._settle("completed")
            return False
        except asyncio.CancelledError:
            self._reader = None
            if self._interruption is None or reader is None:
                await self._stop(None)
                raise
            reader.uncancel()
            await self._stop(self._interruption)
            raise self._interruption from None
        except BaseException as error:
            self._reader = None
            await self._settle("failed", error)
            raise
        self._reader = None
        return True

    async def _stop(self, error: GatewayError | None) -> None:
        """Close the source and settle: with an error as failed, else as abandoned."""
        try:
            if self._source is not None:
                await self._source.aclose()
        finally:
            await self._settle("failed" if error is not None else "abandoned", error)

    async def _fill_from_value(self) -> bool:
        if self._chunks_of is not None:
            self._buffer.extend(self._chunks_of(self._value))
            self._chunks_of = None
            if self._buffer:
                return True
        await self._settle("completed")
        return False

    async def _settle(
        self, state: Literal["completed", "failed", "abandoned"], error: BaseException | None = None
    ) -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome = Outcome(state, self.partial(), error)
        callbacks, self._on_settled = self._on_settled, []
        while callbacks:
            awaitable = _call(callbacks.pop(), outcome)
            if awaitable is not None:
                # The rest goes on in a task of its own, which a cancelled reader cannot take with it.
                await asyncio.shield(_keep(_run(callbacks, outcome, awaitable)))
                return


def _call(callback: Settled, outcome: Outcome[Any]) -> Awaitable[None] | None:
    try:
        return callback(outcome)
    except Exception:
        log.exception("settling a reply failed in %r", callback)
        return None


async def _run(callbacks: list[Settled], outcome: Outcome[Any], first: Awaitable[None] | None = None) -> None:
    awaitable = first
    while True:
        if awaitable is not None:
            try:
                await awaitable
            except Exception:
                log.exception("settling a reply failed")
        if not callbacks:
            return
        awaitable = _call(callbacks.pop(), outcome)


def _keep(work: Any) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
    _settling.add(task)
    task.add_done_callback(_settling.discard)
    return task
