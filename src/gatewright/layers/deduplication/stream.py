"""A stream that several read: each from its first chunk on and at its own pace."""

from __future__ import annotations

import asyncio
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

__all__ = ["StreamJourney"]


class StreamJourney(Journey):
    """Reads a stream for all aboard, at the pace of the fastest: whoever needs more reads on, in its own task."""

    __slots__ = ()

    def __init__(self, board: Board, key: Any, flight: Flight, call: Call, proceed: Handler) -> None:
        super().__init__(board, key, flight, call)
        self.relay = Relay(self._fly(proceed), self.goes_on, self._fly_on)

    async def _fly(self, proceed: Handler) -> None:
        try:
            reply = await proceed(self.call)
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
        task = self.relay.task
        if task is None:
            await self.relay.end()
        else:
            task.cancel()
            await asyncio.wait((task,))


class _MemberFold(AnswerFold):
    """Adds up what one member read; once it has landed, its value is the flight's answer."""

    __slots__ = ("_journey", "_member")

    def __init__(self, journey: StreamJourney, member: Member) -> None:
        super().__init__(model=journey.call.request.model, provider="")
        self._journey = journey
        self._member = member

    def value(self) -> Answer:
        flight = self._journey.flight
        whole = self._journey.answer(self._member) if flight.state == "landed" else None
        return super().value() if whole is None or flight.unread(self._member) else whole
