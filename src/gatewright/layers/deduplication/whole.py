"""A whole answer that several want."""

from __future__ import annotations

import contextlib
from typing import Any

from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.pipeline.failing import failing
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.results import Answer

__all__ = ["WholeFlight", "made_whole"]


class WholeFlight(Flight, kw_only=True):
    """Brings one whole answer: in the task of its leader, and in one of its own once the leader has gone.

    `run()` gives the leader its reply, as it came.
    """

    def came(self, value: Reply[Any, Any]) -> Any:
        """Land with the reply that came, or read it first; one that fails fails for all, with what was used."""
        outcome = value.outcome
        if outcome is not None and isinstance(outcome.error, Exception):
            self.ended(outcome.error)
            return failing(value.partial(), outcome.error).like(value)
        if not value.is_whole:
            return made_whole(value)
        self.state = "landed"
        landed = self.flights.land(self, value.given, age=value.age)
        if self.followers is not None:  # else nobody asks it any more
            self.landed, self.attempts, self.cached = landed, value.attempts, value.cached
            self.wake()
        return value

    def let_go(self) -> bool:
        """Let the leader go: whoever came next leads."""
        goes_on = super().let_go()
        if goes_on and self.leader is not None:
            self.leave(self.leader)
        return goes_on

    async def fly_on(self) -> None:
        """Fly without the leader, whose reply nobody would read."""
        with contextlib.suppress(Exception):  # those aboard get it
            async with await self.run() as reply:
                await reply.value()

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Wait for the answer, and give a reply of its own to one who came to it."""
        try:
            while self.state == "flying":
                await self.changed()
        finally:
            if self.leave(member):
                await self.end()
        if self.landed is None:
            assert self.error is not None
            raise self.error
        return self.marked(self.landed.reply(shared=member.shared), member)


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
