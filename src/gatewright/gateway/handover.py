"""From the home loop to a reader elsewhere: a bounded queue that one task fills and one reader empties."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any

from gatewright.errors import CallCancelled
from gatewright.gateway.home import HomeLoop

__all__ = ["BlockingHandover", "LoopHandover"]

BATCHES_AHEAD = 16
"""How far the filling task may be ahead of the reader, in network reads."""


class _Handover:
    """The home side: `put` waits while the reader is too far behind."""

    def __init__(self, home: HomeLoop) -> None:
        self._home = home
        self._waiting = 0
        self._room: asyncio.Event | None = None

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

    def taken(self) -> None:
        """Note, at home, that the reader took one."""
        self._waiting -= 1
        if self._room is not None and self._waiting < BATCHES_AHEAD:
            self._room.set()
            self._room = None

    def _deliver(self, item: Any) -> None:
        raise NotImplementedError


class BlockingHandover(_Handover):
    """To a reader that blocks its thread."""

    def __init__(self, home: HomeLoop) -> None:
        super().__init__(home)
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def _deliver(self, item: Any) -> None:
        self._items.put(item)

    def get(self) -> Any:
        """Wait for the next item; `CallCancelled` if home is gone and none can come."""
        while True:
            try:
                item = self._items.get(timeout=1.0)
            except queue.Empty:
                loop = self._home.loop
                if loop is None or not loop.is_running():
                    raise CallCancelled("the stream's event loop was closed") from None
                continue
            self._home.call_soon(self.taken)
            return item


class LoopHandover(_Handover):
    """To a reader on another event loop."""

    def __init__(self, home: HomeLoop) -> None:
        super().__init__(home)
        self._loop = asyncio.get_running_loop()
        self._items: deque[Any] = deque()
        self._arrived = asyncio.Event()

    def _deliver(self, item: Any) -> None:
        self._items.append(item)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def get(self) -> Any:
        """Wait for the next item."""
        while not self._items:
            self._arrived.clear()
            if not self._items:
                await self._arrived.wait()
        self._home.call_soon(self.taken)
        return self._items.popleft()
