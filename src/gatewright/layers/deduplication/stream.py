"""A stream that several read: each from its first chunk on and at its own pace."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from gatewright.errors import CallCancelled
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.relay import pause
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Answer, Chunk
from gatewright.types.usage import NO_USAGE

__all__ = ["StreamFlight"]


class StreamFlight(Flight, kw_only=True):
    """Reads a stream for all aboard, at the pace of the fastest: whoever needs more reads on, in its own task.

    Beyond `max_chunks` nobody can join any more, and what all have read is dropped; whoever reads on waits while
    `has_room` is False, so it never holds more than `max_chunks` and one batch.
    """

    max_chunks: int = 20_000
    upstream: Reply[Any, Any] | None = None
    _chunks: list[Any] = []
    _dropped: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every chunk so far is still here, so that somebody can join."""
        return not self._dropped and self.state != "failed"

    @property
    def held(self) -> int:
        """How many chunks it holds."""
        return len(self._chunks)

    @property
    def has_room(self) -> bool:
        """Whether more may be fed, or the slowest reader has to be waited for."""
        return self.state == "flying" and len(self._chunks) < self.max_chunks

    def feed(self, chunks: Sequence[Any]) -> None:
        """Add what came from upstream; nothing comes after the end."""
        if self.state == "flying":
            self._chunks.extend(chunks)
            self._drop()

    def read(self, member: Member) -> list[Any]:
        """Give the chunks that a member has not had; none may mean the end, which `state` tells."""
        chunks = self._chunks[member.next - self._dropped :]
        member.next += len(chunks)
        self._drop()
        return chunks

    def unread(self, member: Member) -> bool:
        """Whether there are chunks that a member has not had."""
        return member.next < self._dropped + len(self._chunks)

    def leave(self, member: Member) -> bool:
        """Go away, done or not; True where the upstream call is of no use to anybody any more."""
        nobody_left = super().leave(member)
        self._drop()
        return nobody_left

    def _drop(self) -> None:
        """Beyond the bound, drop what everybody has read; a landed answer stays whole for those who come later."""
        if self.state != "flying" or (not self._dropped and len(self._chunks) < self.max_chunks):
            return
        aboard = [] if self.leader is None else [self.leader, *(self.followers or ())]
        slowest = min((member.next for member in aboard), default=self._dropped + len(self._chunks))
        del self._chunks[: slowest - self._dropped]
        self._dropped = slowest

    def land(self, answer: Any, age: float = 0.0) -> None:
        """Take the whole answer, and have it kept with its chunks where they are all here."""
        if self.state == "flying":
            self.state = "landed"
            self.landed = self.flights.land(self, answer, self._chunks, keep=not self._dropped, age=age)
            self.wake()

    async def fly(self, proceed: Handler) -> None:
        """Read the stream, and pause after each batch."""
        try:
            self.upstream = reply = await proceed(self.call)
            async with reply:
                self.attempts, self.cached = reply.attempts, reply.cached
                while batch := await reply.batch():
                    self.feed(batch)
                    self.wake()
                    await pause()
            self.attempts = reply.attempts  # it may have gone on elsewhere
            assert reply.outcome is not None
        except BaseException as error:
            self.ended(error)
            raise
        self.land(reply.outcome.value, reply.age)

    async def fly_on(self) -> None:
        """Fly to the next pause without the reader who was at it."""
        with contextlib.suppress(Exception):  # those aboard get it
            await self.run()

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Give a member its own reply of what the flight brings."""
        reply = await Reply.begin(self._batches(member), _MemberFold(self, member))
        reply.when_settled(lambda _: self._mark(reply, member))
        self._mark(reply, member)
        return reply

    def _mark(self, reply: Reply[Any, Any], member: Member) -> None:
        self.marked(reply, member)

    async def _batches(self, member: Member) -> AsyncGenerator[list[Chunk], None]:
        try:
            while True:
                if batch := self.read(member):
                    self.wake()
                    yield batch
                elif self.state == "flying":
                    await self._advance()
                elif self.error is not None:
                    raise self.error
                else:
                    return
        finally:
            if self.leave(member):
                await self._end()

    async def _advance(self) -> None:
        """Read on, or wait for the one who does, or for the slowest where it is too far behind."""
        if self.is_running or not self.has_room:
            await self.changed()
            return
        with contextlib.suppress(Exception):  # the flight has it, for all who are aboard
            await self.run()

    async def _end(self) -> None:
        """End the upstream call: nobody reads it any more."""
        self.ended(CallCancelled("nobody reads the stream any more"))
        await self.end()


class _MemberFold(AnswerFold):
    """Adds up what one member read; once it has landed, its value is the flight's answer.

    A flight that ended otherwise was paid by the member who led it: it has the usage, as far as that is known.
    """

    __slots__ = ("_flight", "_member")

    def __init__(self, flight: StreamFlight, member: Member) -> None:
        super().__init__(model=flight.call.request.model, provider="")
        self._flight = flight
        self._member = member

    def value(self) -> Answer:
        flight, member = self._flight, self._member
        if flight.landed is not None:
            return super().value() if flight.unread(member) else flight.landed.value(shared=member.shared)
        read = super().value()
        return read if flight.upstream is None else _billed(read, flight.upstream.partial(), pays=not member.shared)


def _billed(read: Answer, source: Answer, *, pays: bool) -> Answer:
    """Give what was read with its source, and with what that used and cost for the one who pays."""
    read.model, read.provider, read.deployment_id = source.model, source.provider, source.deployment_id
    read.usage, read.cost_usd = (source.usage, source.cost_usd) if pays else (NO_USAGE, 0.0)
    return read
