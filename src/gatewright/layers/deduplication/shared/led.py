"""A stream that this process leads: it is read in a task of its own, for its caller and for other processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from gatewright.clock import Clock
from gatewright.layers.deduplication.flight import known
from gatewright.layers.deduplication.shared.lead import Lead
from gatewright.layers.deduplication.shared.parts import Came, Landed, failure
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.results import Answer, Chunk

__all__ = ["LedStream"]

AHEAD = 64
"""Batches that the provider may be ahead of the caller, where nobody else follows."""
MOST_HELD = 20_000
"""Chunks that are held for the caller while others follow, who are not to wait for it; beyond that they do."""
LOOK = 0.25
"""Seconds between two looks whether somebody follows by now, while the provider waits for the caller."""


class LedStream:
    """Goes on without its caller as long as others follow, and ahead of a slow one."""

    def __init__(self, call: Call, proceed: Handler, lead: Lead, clock: Clock) -> None:
        self._lead = lead
        self._clock = clock
        self._batches: asyncio.Queue[list[Chunk] | BaseException | None] = asyncio.Queue()
        self._held = 0
        self._read_on = asyncio.Event()
        self._is_read = True
        self._reply: Reply[Any, Any] | None = None
        self._begun: asyncio.Future[Reply[Any, Any]] = asyncio.get_running_loop().create_future()
        self.task = asyncio.get_running_loop().create_task(self._fly(call, proceed))

    async def reply(self) -> Reply[Any, Any]:
        """Give the caller its reply, once it has begun."""
        try:
            inner = await asyncio.shield(self._begun)
            reply = await Reply.begin(self._read(), _Through(inner))
        except BaseException:
            await self._leave()
            raise
        reply.attempts, reply.limits, reply.cached = inner.attempts, inner.limits, inner.cached
        return reply

    async def _fly(self, call: Call, proceed: Handler) -> None:
        try:
            async with await proceed(call) as reply:
                self._begun.set_result(reply)
                while batch := await reply.batch():
                    self._lead.came(Came(batch))
                    self._give(batch)
                    while not self._has_room():
                        await self._read_or_time()
            answer: Answer = reply.partial()
        except BaseException as error:  # noqa: BLE001 - it is raised to the caller
            self._lead.failed(failure(error, call.time_left(self._clock.now())))
            if not self._begun.done():
                self._begun.set_exception(known(error))
                self._begun.exception()  # whoever wanted it may have gone
            self._give(known(error))
            return
        self._lead.landed(Landed(answer.model, answer.provider, answer.deployment_id))
        self._give(None)

    def _give(self, batch: list[Chunk] | BaseException | None) -> None:
        if self._is_read:
            self._batches.put_nowait(batch)
            self._held += len(batch) if isinstance(batch, list) else 0

    def _has_room(self) -> bool:
        """Whether the provider may be read on: at the pace of the fastest, as far as can be held for the caller."""
        if not self._is_read or self._batches.qsize() < AHEAD:
            return True
        return self._lead.was_followed and self._held < MOST_HELD

    async def _read_or_time(self) -> None:
        """Wait until the caller has read on; one who came to follow meanwhile is not to wait for it."""
        self._read_on.clear()
        try:
            async with asyncio.timeout(LOOK):
                await self._read_on.wait()
        except TimeoutError:
            await self._lead.is_followed()

    async def _read(self) -> AsyncGenerator[list[Chunk], None]:
        try:
            while (batch := await self._batches.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                self._held -= len(batch)
                self._read_on.set()
                yield batch
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Let the stream go on for those who follow, or end it."""
        self._is_read = False
        while not self._batches.empty():
            self._batches.get_nowait()
        self._read_on.set()
        if self.task.done():
            return
        if await self._lead.is_followed():
            self._lead.on_unfollowed = self.task.cancel
        else:
            self.task.cancel()
            await asyncio.wait((self.task,))


class _Through:
    """The value is the led reply's."""

    def __init__(self, inner: Reply[Any, Any]) -> None:
        self._inner = inner

    def add(self, chunk: Chunk) -> None:
        """Leave it to the led reply."""

    def value(self) -> Any:
        """Give what has come."""
        return self._inner.partial()
