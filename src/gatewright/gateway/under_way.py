"""What is under way at home, so that closing can wait for it and cut it off."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gatewright.errors import GatewayClosed, GatewayError
from gatewright.gateway.assembly import Assembly
from gatewright.gateway.collector import PACE
from gatewright.gateway.submission import LoopEnded
from gatewright.pipeline.reply import Outcome, Reply

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
        self._streams: dict[Reply[Any, Any], Reader] = {}

    def call(self, call_id: str) -> _Cuttable:
        """Have the running task counted in `with`; one that is cut off there ends in an error that says why."""
        return _Cuttable(self._calls, self._cut, call_id)

    def stream(self, reply: Reply[Any, Any], reader: Reader) -> None:
        """Have an open stream counted until it has settled."""
        streams = self._streams

        def ended(_: Outcome[Any]) -> None:
            streams.pop(reply, None)

        streams[reply] = reader
        reply.when_settled(ended)

    async def finish(self, seconds: float, closer: Reader) -> None:
        """Let what is under way end for so long; a stream whose reader is the one that closes is not read on."""
        await _end([reply for reply, reader in self._streams.items() if reader == closer], GatewayClosed(CLOSED))
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


class _Cuttable:
    """While `with` lasts, the running task is among `calls`; `cut` has those that are being cut off, and why."""

    __slots__ = ("_call_id", "_calls", "_cut", "_task")

    def __init__(self, calls: set[asyncio.Task[Any]], cut: dict[asyncio.Task[Any], GatewayError], call_id: str) -> None:
        self._calls = calls
        self._cut = cut
        self._call_id = call_id

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._calls.add(task)
        if len(self._calls) >= PACE.raise_at:
            PACE.raised(len(self._calls))

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._calls.discard(self._task)
        if len(self._calls) <= PACE.lower_at:
            PACE.lowered(len(self._calls))
        why = self._cut.pop(self._task, None)
        if why is not None and isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise type(why)(why.message, request_id=self._call_id) from None


async def _end(replies: list[Reply[Any, Any]], error: GatewayError) -> None:
    for reply in replies:
        reply.interrupt(error)
    closing = [asyncio.ensure_future(reply.aclose()) for reply in replies if not reply.settled]
    if closing:
        await asyncio.wait(closing, timeout=CUT_SECONDS)


# Collecting a task that a forked child inherited would complain that it never ended.
_of_the_parent: list[object] = []
