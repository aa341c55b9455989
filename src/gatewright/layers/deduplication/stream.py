"""A stream that several read: each from its first chunk on and at its own pace."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from gatewright.errors import CallCancelled
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.journey import Board, Journey
from gatewright.layers.deduplication.relay import Relay, pause
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Answer, Chunk
from gatewright.types.usage import NO_USAGE

__all__ = ["StreamJourney"]


class StreamJourney(Journey):
    """Reads a stream for all aboard, at the pace of the fastest: whoever needs more reads on, in its own task."""

    __slots__ = ("upstream",)

    def __init__(self, board: Board, key: Any, flight: Flight, call: Call, proceed: Handler) -> None:
        super().__init__(board, key, flight, call)
        self.upstream: Reply[Any, Any] | None = None
        self.relay = Relay(self._fly(proceed), self.goes_on, self._fly_on)

    async def _fly(self, proceed: Handler) -> None:
        try:
            self.upstream = reply = await proceed(self.call)
            async with reply:
                self.attempts, self.cached = reply.attempts, reply.cached
                while batch := await reply.batch():
                    self.flight.feed(batch)
                    if self._waiting:
                        self.wake()
                    await pause()
            self.attempts = reply.attempts  # it may have gone on elsewhere
            assert reply.outcome is not None
        except BaseException as error:
            self.ended(error)
            raise
        self.arrived(reply.outcome.value)

    async def _fly_on(self) -> None:
        """Fly to the next pause without the reader who was at it."""
        with contextlib.suppress(Exception):  # those aboard get it
            await self.relay

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Give a member its own reply of what the flight brings."""
        reply = await Reply.begin(self._batches(member), _MemberFold(self, member))
        reply.when_settled(lambda _: self._mark(reply, member))
        self._mark(reply, member)
        return reply

    def _mark(self, reply: Reply[Any, Any], member: Member) -> None:
        self.marked(reply, member)

    async def _batches(self, member: Member) -> AsyncGenerator[list[Chunk], None]:
        flight = self.flight
        try:
            while True:
                if batch := flight.read(member):
                    if self._waiting:
                        self.wake()
                    yield batch
                elif flight.state == "flying":
                    await self._advance()
                elif flight.error is not None:
                    raise flight.error
                else:
                    return
        finally:
            if self._board.left(self, member):
                await self._end()

    async def _advance(self) -> None:
        """Read on, or wait for the one who does, or for the slowest where it is too far behind."""
        if self.relay.is_running or not self.flight.has_room:
            await self.changed()
            return
        with contextlib.suppress(Exception):  # the flight has it, for all who are aboard
            await self.relay

    async def _end(self) -> None:
        """End the upstream call: nobody reads it any more."""
        self.ended(CallCancelled("nobody reads the stream any more"))
        await self.relay.end()


class _MemberFold(AnswerFold):
    """Adds up what one member read; once it has landed, its value is the flight's answer.

    A flight that ended otherwise was paid by the member who led it: it has the usage, as far as that is known.
    """

    __slots__ = ("_journey", "_member")

    def __init__(self, journey: StreamJourney, member: Member) -> None:
        super().__init__(model=journey.call.request.model, provider="")
        self._journey = journey
        self._member = member

    def value(self) -> Answer:
        flight = self._journey.flight
        if flight.state == "landed":
            whole = self._journey.answer(self._member)
            return super().value() if whole is None or flight.unread(self._member) else whole
        upstream = self._journey.upstream
        read = super().value()
        return read if upstream is None else _billed(read, upstream.partial(), pays=not self._member.shared)


def _billed(read: Answer, source: Answer, *, pays: bool) -> Answer:
    """Give what was read with its source, and with what that used and cost for the one who pays."""
    read.model, read.provider, read.deployment_id = source.model, source.provider, source.deployment_id
    read.usage, read.cost_usd = (source.usage, source.cost_usd) if pays else (NO_USAGE, 0.0)
    return read
