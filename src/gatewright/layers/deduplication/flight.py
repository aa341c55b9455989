"""A single flight: one upstream call, and everyone who wants its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gatewright.errors import CallCancelled
from gatewright.layers.deduplication.landed import Landed
from gatewright.layers.deduplication.relay import Relay
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply

if TYPE_CHECKING:
    from gatewright.layers.deduplication.flights import Flights

__all__ = ["Flight", "Member", "known"]


class Member(msgspec.Struct, eq=False, gc=False):
    """One caller on a flight; `shared` says that it came to somebody else's call, `next` the chunk it reads next."""

    shared: bool = True
    next: int = 0


class Flight(Relay, kw_only=True):
    """Makes one upstream call for all who are aboard, and is all that there is of it: while one flies alone, little.

    The first member leads: the upstream call is made, and paid, in its name. When the leader leaves, the member
    who came next leads. `flights` is told how it ends, and keeps the answer.
    """

    key: Hashable
    call: Call
    flights: Flights
    leader: Member | None
    followers: dict[Member, None] | None = None  # a dictionary for its order: who came first is first
    waiting: list[asyncio.Future[None]] | None = None
    state: Literal["flying", "landed", "failed"] = "flying"
    error: BaseException | None = None
    landed: Landed | None = None
    attempts: int = 1
    cached: bool = False  # what came was itself another's answer

    @property
    def call_id(self) -> str:
        """The call that is made."""
        return self.call.id

    @property
    def is_whole(self) -> bool:
        """Whether all that came so far is still here, so that somebody can join."""
        return self.state != "failed"

    def join(self) -> Member:
        """Come aboard; only while `is_whole`."""
        assert self.is_whole
        member = Member()
        if self.followers is None:
            self.followers = {}
        self.followers[member] = None
        return member

    def leave(self, member: Member) -> bool:
        """Go away, done or not; True where the upstream call is of no use to anybody any more."""
        if member is not self.leader:
            if self.followers:
                self.followers.pop(member, None)
            return False
        self.leader = heir = next(iter(self.followers), None) if self.followers else None
        if heir is None:
            if self.state == "flying":
                self.flights.forget(self)
                return True
            return False
        assert self.followers is not None
        del self.followers[heir]
        if self.state == "flying":
            # It is the one who pays now, and whoever left does not.
            heir.shared, member.shared = False, True
        return False

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Give a member its own reply."""
        raise NotImplementedError

    def marked(self, reply: Reply[Any, Any], member: Member) -> Reply[Any, Any]:
        """Say of a member's reply whether it is shared."""
        reply.cached = member.shared or self.cached
        reply.attempts = 0 if member.shared else self.attempts
        return reply

    def ended(self, error: BaseException) -> None:
        """Take the error with which the upstream call ended: all aboard get it, and whoever comes next does not."""
        if self.state == "flying":
            self.state, self.error = "failed", known(error)
            self.flights.forget(self)
        self.wake()

    def let_go(self) -> bool:
        """Say whether somebody else wants what one was at who is being cancelled."""
        if self.followers:
            return True
        # Nobody may come to a call that is being cancelled.
        self.ended(CallCancelled("the call that was shared was cancelled"))
        return False

    async def changed(self) -> None:
        """Wait until the flight moves on, or a reader does."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.waiting is None:
            self.waiting = []
        self.waiting.append(changed)
        await changed

    def wake(self) -> None:
        """Have those who wait look again."""
        waiting, self.waiting = self.waiting, None
        for changed in waiting or ():
            if not changed.done():
                changed.set_result(None)


def known(error: BaseException) -> Exception:
    """Give the error that those aboard get."""
    return error if isinstance(error, Exception) else CallCancelled("the call that was shared was cancelled")
