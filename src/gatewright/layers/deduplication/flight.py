"""A single flight: one upstream call, and everyone who wants its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

__all__ = ["Departure", "Flight", "Member"]

Departure = Literal["nothing", "new_leader", "nobody_left"]
"""What follows from a member's leaving."""


class Member:
    """One caller on a flight; `shared` says that it came to somebody else's call, `next` the chunk it reads next."""

    __slots__ = ("next", "shared")

    def __init__(self, shared: bool) -> None:
        self.shared = shared
        self.next = 0


class Flight:
    """Chunks of one answer for many readers, each from the first chunk on and at its own pace.

    The first member leads: the upstream call is made, and paid, in its name. When the leader leaves, the member
    who came next leads. Beyond `max_chunks` nobody can join any more, and what all have read is dropped; whoever
    feeds it waits while `has_room` is False, so it never holds more than `max_chunks` and one batch. `journey` is
    whatever flies it.
    """

    __slots__ = ("_chunks", "_dropped", "_max_chunks", "_members", "error", "journey", "state")

    def __init__(self, max_chunks: int = 20_000) -> None:
        self.state: Literal["flying", "landed", "failed"] = "flying"
        self.error: BaseException | None = None
        self.journey: Any = None
        self._chunks: list[Any] = []
        self._dropped = 0
        self._max_chunks = max_chunks
        # A dictionary for its order: who came first is first.
        self._members: dict[Member, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    @property
    def leader(self) -> Member | None:
        """The member in whose name the upstream call is made; None when nobody is left."""
        return next(iter(self._members), None)

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
        return self.state == "flying" and len(self._chunks) < self._max_chunks

    def lead(self) -> Member:
        """Come aboard as the first."""
        member = Member(shared=False)
        self._members[member] = None
        return member

    def join(self) -> Member:
        """Come aboard; only while `is_whole`."""
        assert self.is_whole
        member = Member(shared=bool(self._members) or self.state != "flying" or bool(self._chunks))
        self._members[member] = None
        return member

    def leave(self, member: Member) -> Departure:
        """Go away, done or not; says whether another leads now, or the upstream call is of no use to anybody."""
        if member not in self._members:
            return "nothing"
        led = self.leader is member
        del self._members[member]
        self._drop()
        if not self._members:
            return "nobody_left"
        return "new_leader" if led else "nothing"

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

    def land(self) -> int | None:
        """Say that the answer is complete; gives the chunks that it holds, None where they are not all of them."""
        if self.state == "flying":
            self.state = "landed"
        return None if self._dropped else len(self._chunks)

    def fail(self, error: BaseException) -> None:
        """Say that the upstream call failed: everyone aboard gets `error` after the chunks so far."""
        if self.state == "flying":
            self.state = "failed"
            self.error = error

    def _drop(self) -> None:
        """Beyond the bound, drop what everybody has read; a landed answer stays whole for those who come later."""
        if self.state != "flying" or (not self._dropped and len(self._chunks) < self._max_chunks):
            return
        slowest = min((member.next for member in self._members), default=self._dropped + len(self._chunks))
        del self._chunks[: slowest - self._dropped]
        self._dropped = slowest
