"""One timer, set to the next time at which something is due; there is none while nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatewright.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """Calls `ring` when its time comes; `ring` gives the next time, or None. One task while it is set, else none."""

    __slots__ = ("_at", "_clock", "_ring", "_task")

    def __init__(self, clock: Clock, ring: Callable[[], float | None]) -> None:
        self._clock = clock
        self._ring = ring
        self._at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_set(self) -> bool:
        """Whether a task waits for its time."""
        return self._task is not None and not self._task.done()

    def set(self, at: float, loop: asyncio.AbstractEventLoop) -> None:
        """Ring at `at` by its clock, on `loop`; an earlier time stays, since ringing too early does no harm."""
        if not self.is_set or at < self._at:
            self.clear()
            self._at = at
            self._task = loop.create_task(self._wait())

    def clear(self) -> None:
        """Do not ring."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def forget(self) -> None:
        """Let go of the task without its loop, which does not run any more."""
        self._task = None

    async def _wait(self) -> None:
        mine = asyncio.current_task()
        while True:
            await self._clock.sleep(self._at - self._clock.now())
            if self._task is not mine:
                return
            at = self._ring()
            if at is None:
                self._task = None
                return
            self._at = at
