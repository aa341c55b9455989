"""From the home loop to a reader elsewhere: a bounded queue that one task fills and one reader empties."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections import deque
from concurrent.futures import Future
from typing import Any

from gatewright.gateway.submission import LOOK_SECONDS, Liveness, LoopEnded, Submission, rest_at_exit

__all__ = ["BlockingHandover", "LoopHandover"]

BATCHES_AHEAD = 16
"""How far the filling task may be ahead of the reader, in network reads."""


class _Handover:
    """The home side: `put` waits while the reader is too far behind."""

    def __init__(self) -> None:
        self._home: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._room: asyncio.Event | None = None

    def follow(self, pump: Submission[None]) -> None:
        """Hear of the end of the task that fills it, also where that was cancelled before it began."""
        self._home = pump.loop
        pump.future.add_done_callback(self._filled)

    def _filled(self, pump: Future[None]) -> None:
        if (error := pump.exception()) is not None:
            self.end(error)

    async def put(self, item: Any) -> None:
        """Hand one item over."""
        self._deliver(item)
        self._waiting += 1
        if self._waiting >= BATCHES_AHEAD:
            self._room = asyncio.Event()
            await self._room.wait()

    def end(self, last: Any) -> None:
        """Hand the last item over, without waiting."""
        self._deliver(last)

    def _taken(self) -> None:
        self._waiting -= 1
        if self._room is not None and self._waiting < BATCHES_AHEAD:
            self._room.set()
            self._room = None

    def _tell_taken(self) -> None:
        assert self._home is not None
        with contextlib.suppress(RuntimeError):  # home has ended, and with it the filling
            self._home.call_soon_threadsafe(self._taken)

    def _liveness(self) -> Liveness:
        assert self._home is not None
        return Liveness(self._home)

    def _deliver(self, item: Any) -> None:
        raise NotImplementedError


class BlockingHandover(_Handover):
    """To a reader that blocks its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def _deliver(self, item: Any) -> None:
        self._items.put(item)

    def get(self) -> Any:
        """Wait for the next item; `LoopEnded` is one, where home is gone and none can come."""
        liveness = self._liveness()
        while True:
            try:
                item = self._items.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if liveness.lost():
                    return LoopEnded()
                continue
            self._tell_taken()
            rest_at_exit()
            return item


class LoopHandover(_Handover):
    """To a reader on another event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._items: deque[Any] = deque()
        self._arrived = asyncio.Event()

    def _deliver(self, item: Any) -> None:
        self._items.append(item)
        with contextlib.suppress(RuntimeError):  # the reader's loop is closed
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def get(self) -> Any:
        """Wait for the next item; `LoopEnded` is one, where home is gone and none can come."""
        liveness = self._liveness()
        while not self._items:
            self._arrived.clear()
            if self._items:
                break
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                if liveness.lost():
                    return LoopEnded()
        self._tell_taken()
        return self._items.popleft()
