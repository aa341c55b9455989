"""The awaiting side of a flight: what makes the upstream call, and those who wait aboard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

import msgspec

from gatewright.errors import CallCancelled
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.relay import Relay
from gatewright.pipeline.call import Call
from gatewright.pipeline.failing import failing
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.results import Answer, Embeddings

__all__ = ["Board", "Journey", "WholeJourney", "made_whole"]


class Board(Protocol):
    """What keeps the flights and hears of their ends."""

    def landed(self, journey: Journey) -> None:
        """Keep a flight that landed for the window."""
        ...

    def failed(self, journey: Journey, error: BaseException) -> None:
        """Forget a flight that failed."""
        ...

    def left(self, journey: Journey, member: Member) -> bool:
        """Let a member go; True where nobody is left of a flight that flies."""
        ...


class Journey:
    """Who waits for what comes of a flight, whose upstream call its `relay` makes; and, when it has come, that."""

    __slots__ = (
        "_answer",
        "_board",
        "_parts",
        "_waiting",
        "attempts",
        "cached",
        "call",
        "call_id",
        "flight",
        "key",
        "relay",
    )

    call: Call
    flight: Flight
    relay: Relay[Any]

    def __init__(self, board: Board, key: Any, flight: Flight, call: Call) -> None:
        self._board = board
        self._waiting: list[asyncio.Future[None]] = []
        self._answer: Answer | Embeddings | None = None
        self._parts: tuple[Any, ...] = ()
        self.attempts = 1
        self.cached = False  # what came was itself another's answer
        self.key = key
        self.flight = flight
        self.call = call
        self.call_id = call.id

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Give a member its own reply."""
        raise NotImplementedError

    def answer(self, member: Member) -> Any:
        """Give the whole answer, or None; to those who share it, at no cost."""
        answer = self._answer
        if answer is None:
            return None
        cost, saved = (0.0, answer.cost_usd) if member.shared else (answer.cost_usd, None)
        if isinstance(answer, Embeddings):
            return msgspec.structs.replace(answer, vectors=list(self._parts), cost_usd=cost, saved_usd=saved)
        return msgspec.structs.replace(answer, choices=list(self._parts), cost_usd=cost, saved_usd=saved)

    def own_reply(self, member: Member) -> Reply[Any, Any]:
        """Give the whole answer as a member's own reply."""
        answer = self.answer(member)
        return self.marked(Reply.whole(answer, chunks_of if isinstance(answer, Answer) else None), member)

    def marked(self, reply: Reply[Any, Any], member: Member) -> Reply[Any, Any]:
        """Say of a member's reply whether it is shared."""
        reply.cached = member.shared or self.cached
        reply.attempts = 0 if member.shared else self.attempts
        return reply

    def arrived(self, answer: Answer | Embeddings) -> None:
        """Take the whole answer."""
        self._answer = answer
        # The lists are each caller's own: what one does to them is not to be seen by the others.
        self._parts = tuple(answer.vectors if isinstance(answer, Embeddings) else answer.choices)
        self._board.landed(self)
        if self._waiting:
            self.wake()

    def ended(self, error: BaseException) -> None:
        """Take the error with which the upstream call ended."""
        self._board.failed(self, known(error))
        self.wake()

    def goes_on(self) -> bool:
        """Whether somebody else wants what one was at who is being cancelled."""
        if len(self.flight) > 1:
            return True
        # Nobody may come to a call that is being cancelled.
        self.ended(CallCancelled("the call that was shared was cancelled"))
        return False

    async def changed(self) -> None:
        """Wait until the flight moves on, or a reader does."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(changed)
        await changed

    def wake(self) -> None:
        """Have those who wait look again."""
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)


class WholeJourney(Journey):
    """Brings one whole answer: in the task of its leader, and in one of its own once the leader has gone."""

    __slots__ = ()

    def __init__(self, board: Board, key: Any, flight: Flight, call: Call, proceed: Handler) -> None:
        super().__init__(board, key, flight, call)
        self.relay = Relay(proceed(call), self.goes_on, self._fly_on)

    async def lead(self, member: Member) -> Reply[Any, Any]:
        """Make the upstream call and give the leader its reply, as it came."""
        relay = self.relay
        try:
            reply = await relay
            assert reply is not None
            if not reply.is_whole:
                reply = await made_whole(reply)
        except BaseException as error:
            if not relay.is_running:  # otherwise it goes on without its leader
                self.ended(error)
            if self._board.left(self, member):  # those for whom it was to go on were cancelled with its leader
                await relay.end()
            raise
        self.attempts, self.cached = reply.attempts, reply.cached
        if reply.outcome is not None and isinstance(reply.outcome.error, Exception):
            return self._failed(member, reply, reply.outcome.error)
        self.arrived(reply.partial())
        # What is given again needs neither the call nor what made it, and is not to be in a circle with its flight:
        # only Python's collector would free it.
        del self.relay, self.call, self.flight
        return reply

    def _failed(self, member: Member, reply: Reply[Any, Any], error: Exception) -> Reply[Any, Any]:
        """Give the leader a reply that fails with what was used; those aboard get the error."""
        self.ended(error)
        self._board.left(self, member)
        return failing(reply.partial(), error).like(reply)

    async def _fly_on(self) -> None:
        """Fly without the leader, whose reply nobody would read."""
        with contextlib.suppress(Exception):  # those aboard get it
            async with await self.lead(Member(shared=True)) as reply:
                await reply.value()

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Wait for the answer, and give a reply of its own to one who came to it."""
        if self._answer is None:
            try:
                await self.changed()
                if self._answer is None:
                    assert self.flight.error is not None
                    raise self.flight.error
            finally:
                if self._answer is None and self._board.left(self, member):
                    await self.relay.end()
        return self.own_reply(member)


async def made_whole(reply: Reply[Any, Any]) -> Reply[Any, Any]:
    """Read a reply to its end, and give it as a whole one; one that failed is given as it is, settled."""
    try:
        async with reply:
            answer: Any = await reply.value()
    except Exception:
        if reply.outcome is None or reply.outcome.state != "failed" or reply.outcome.error is None:
            raise
        return reply
    return Reply.whole(answer, chunks_of if isinstance(answer, Answer) else None).like(reply)


def known(error: BaseException) -> Exception:
    """Give the error that those aboard get."""
    return error if isinstance(error, Exception) else CallCancelled("the call that was shared was cancelled")
