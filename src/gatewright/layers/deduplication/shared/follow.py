"""A follower's side: what another process's call brought so far, and then the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from gatewright.errors import DeadlineExceeded, GatewayError, StreamInterrupted
from gatewright.layers.deduplication.shared.board import SharedBoard
from gatewright.layers.deduplication.shared.parts import Came, Failed, Gone, Landed, Part
from gatewright.layers.deduplication.shared.repetition import Differs, Repetition
from gatewright.layers.deduplication.shared.staying import Staying
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Answer, Chunk

__all__ = ["FollowedFold", "LeaderGone", "followed_batches", "followed_parts"]

# Seconds between two looks: soon after something came, and less and less while nothing does.
SOON, SELDOM = 0.005, 0.05
SILENT = "the process that led this shared stream tells no more of it"
LOST = "Redis has lost this shared stream"
CUT_OFF = "Redis went away in the middle of this shared stream"


AWAY = 2.0
"""Seconds for which Redis may be away before a stream of which there was something is asked for anew."""


class LeaderGone(Exception):
    """The leader, or Redis, does not answer any more; which of them it says."""


async def followed_parts(board: SharedBoard, name: str, leader: str) -> AsyncGenerator[Part, None]:
    """Give what comes, until its end; `LeaderGone` where there will be none."""
    read, pause = 0, SOON
    with Staying(board, name, leader):
        while True:
            found = await board.read(name, leader, read)
            if found is None:
                found = await _read_when_back(board, name, leader, read)
            led, parts = found
            read += len(parts)
            for part in parts:
                if isinstance(part, Gone):
                    raise LeaderGone(SILENT)
                yield part
                if not isinstance(part, Came):
                    return
            if not parts and led < 1:
                raise LeaderGone(SILENT if led == 0 else LOST)
            pause = SOON if parts else min(SELDOM, pause * 1.5)
            await asyncio.sleep(pause)


async def _read_when_back(board: SharedBoard, name: str, leader: str, read: int) -> tuple[int, list[Part]]:
    """Read on once Redis is back; who has read nothing yet does not wait for that."""
    found = await board.read(name, leader, read) if read and await board.back(AWAY) else None
    if found is None:
        raise LeaderGone(CUT_OFF)
    return found


class FollowedFold(AnswerFold):
    """Adds up what one follower read; it costs nothing, unless it had to ask itself in the end."""

    __slots__ = ("own",)

    def __init__(self, model: str) -> None:
        super().__init__(model=model, provider="")
        self.own: Reply[Any, Any] | None = None

    def landed(self, end: Landed) -> None:
        """Hear who answered."""
        self._model = end.model
        self._context = (end.provider, end.deployment_id)

    def value(self) -> Answer:
        """Give the answer so far."""
        whole = super().value()
        if self.own is None:
            return msgspec.structs.replace(whole, cost_usd=0.0)
        own: Answer = self.own.partial()
        return msgspec.structs.replace(
            whole,
            model=own.model,
            provider=own.provider,
            deployment_id=own.deployment_id,
            usage=own.usage,
            cost_usd=own.cost_usd,
        )


async def followed_batches(
    first: Part, rest: AsyncGenerator[Part, None], fold: FollowedFold, call: Call, proceed: Handler
) -> AsyncGenerator[list[Chunk], None]:
    """Give the chunks of a flight; where its leader goes away in the middle, ask anew and go on where it stood."""
    try:
        async with contextlib.aclosing(rest):
            yield _chunks(first, fold, call)
            async for part in rest:
                if chunks := _chunks(part, fold, call):
                    yield chunks
    except LeaderGone as gone:
        async for batch in _taken_over(str(gone), fold, call, proceed):
            yield batch


def _chunks(part: Part, fold: FollowedFold, call: Call) -> list[Chunk]:
    if isinstance(part, Failed):
        raise part.error(call.id)
    if isinstance(part, Landed):
        fold.landed(part)
    return part.chunks if isinstance(part, Came) else []


async def _taken_over(gone: str, fold: FollowedFold, call: Call, proceed: Handler) -> AsyncGenerator[list[Chunk], None]:
    """Ask anew, and leave out what was read before; another answer than that cannot go on where it stood."""
    repetition = Repetition(fold)
    try:
        async with await proceed(call) as reply:
            fold.own = reply
            while batch := await reply.batch():
                yield [repetition.new_of(chunk) for chunk in batch]
            repetition.end()
    except Differs:
        raise _interrupted(gone, "another answer came since", fold, call) from None
    except DeadlineExceeded:
        raise
    except GatewayError as error:
        raise _interrupted(gone, error.message, fold, call, error.code) from error


def _interrupted(gone: str, why: str, fold: FollowedFold, call: Call, code: str | None = None) -> StreamInterrupted:
    return StreamInterrupted(
        f"{gone}, and it could not be gone on with: {why}",
        text=fold.text, model=call.request.model, request_id=call.id, upstream_code=code,
    )  # fmt: skip
