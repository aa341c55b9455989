"""What is under way at home, so that closing can wait for it and cut it off."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Any

from gatewright.errors import GatewayClosed, GatewayError
from gatewright.gateway.assembly import Assembly
from gatewright.gateway.collector import PACE
from gatewright.gateway.submission import LoopEnded
from gatewright.pipeline.reply import Outcome, Reply
from gatewright.pipeline.tracebacks import let_go_of_frames

__all__ = ["Reader", "UnderWay"]

Reader = asyncio.Task[Any] | int | None
"""Who reads a stream: a task, or the thread of that number."""

CLOSED = "the gateway was closed before the call had ended"
CUT_SECONDS = 1.0
"""How long a call that was cut off may take to end."""


class UnderWay:
    """The calls and open streams of one gateway, and what they stand on; touched on its home loop only."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._calls: set[asyncio.Task[Any]] = set()
        self._cut: dict[asyncio.Task[Any], GatewayError] = {}
        self._streams: dict[Reply[Any, Any], weakref.ref[asyncio.Task[Any]] | int | None] = {}

    def enter(self) -> asyncio.Task[Any]:
        """Count the running task among those that are at a call, until `leave`."""
        task = asyncio.current_task()
        assert task is not None
        calls = self._calls
        calls.add(task)
        if len(calls) >= PACE.raise_at:
            PACE.raised(len(calls))
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Count it no more."""
        calls = self._calls
        calls.discard(task)
        if len(calls) <= PACE.lower_at:
            PACE.lowered(len(calls))

    def why_left(self, task: asyncio.Task[Any], error: BaseException, call_id: str) -> BaseException:
        """Give the error with which a call ends that ended in `error`: where it was cut off, one that says why."""
        let_go_of_frames(error)
        why = self._cut.pop(task, None)
        if why is None or not isinstance(error, asyncio.CancelledError):
            return error
        task.uncancel()
        return type(why)(why.message, request_id=call_id)

    def stream(self, reply: Reply[Any, Any], reader: Reader) -> None:
        """Have an open stream counted until it has settled."""
        streams = self._streams

        def ended(_: Outcome[Any]) -> None:
            streams.pop(reply, None)

        # A task that has failed has the frame of its error, and in that the stream, which nobody would drop then.
        streams[reply] = weakref.ref(reader) if isinstance(reader, asyncio.Task) else reader
        reply.when_settled(ended)

    async def finish(self, seconds: float, closer: Reader) -> None:
        """Let what is under way end for so long; a stream whose reader is the one that closes is not read on."""
        mine_too = weakref.ref(closer) if isinstance(closer, asyncio.Task) else closer
        await _end([reply for reply, reader in self._streams.items() if reader == mine_too], GatewayClosed(CLOSED))
        until = time.monotonic() + seconds
        mine = {asyncio.current_task()}
        # Closing is rare and calls are many: asking now and then is cheaper than having each call tell.
        while (self._calls - mine or self._streams) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def aclose(self, *, moving: bool = False) -> None:
        """Cut off what is still under way, as closed or, where home only moves, as `LoopEnded`; close what it needs."""
        error = LoopEnded() if moving else GatewayClosed(CLOSED)
        cut = self._calls - {asyncio.current_task()}
        self._cut |= dict.fromkeys(cut, error)
        for task in cut:
            task.cancel()
        await _end(list(self._streams), error)
        until = time.monotonic() + CUT_SECONDS
        while self._calls & cut and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await self._assembly.aclose()

    def abandon(self, *, forked: bool = False) -> None:
        """Let go of everything without its loop, which is closed or, in a forked child, the parent's."""
        if forked:
            _of_the_parent.append((self._calls, self._streams))
            self._assembly.start_afresh()
        self._calls, self._cut, self._streams = set(), {}, {}
        self._assembly.abandon()


async def _end(replies: list[Reply[Any, Any]], error: GatewayError) -> None:
    for reply in replies:
        reply.interrupt(error)
    closing = [asyncio.ensure_future(reply.aclose()) for reply in replies if not reply.settled]
    if closing:
        await asyncio.wait(closing, timeout=CUT_SECONDS)


# Collecting a task that a forked child inherited would complain that it never ended.
_of_the_parent: list[object] = []
