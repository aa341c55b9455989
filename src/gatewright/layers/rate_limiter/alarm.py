"""One timer, set to the next time at which something is due; there is none while nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatewright.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """Calls `ring` when its time comes; `ring` gives the next time, or None. It lives on the loop that set it."""

    __slots__ = ("_at", "_clock", "_ring", "_ringing", "_task")

    def __init__(self, clock: Clock, ring: Callable[[], float | None]) -> None:
        self._clock = clock
        self._ring = ring
        self._ringing = False
        self._at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_set(self) -> bool:
        """Whether a task waits for its time."""
        return self._task is not None and not self._task.done()

    def set(self, at: float | None) -> None:
        """Ring at `at` (by its clock), or not at all; an earlier time stays, since ringing too early does no harm."""
        if self._ringing:
            return
        if at is None:
            self.clear()
        elif not self.is_set or at < self._at:
            self.clear()
            self._at = at
            self._task = asyncio.get_running_loop().create_task(self._wait())

    def clear(self) -> None:
        """Let the task end."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def forget(self) -> None:
        """Let go of the task without its loop, which is gone."""
        self._task = None

    async def _wait(self) -> None:
        mine = asyncio.current_task()
        while self._task is mine:
            await self._clock.sleep(self._at - self._clock.now())
            following = self._rung() if self._task is mine else None
            if following is None:
                break
            self._at = following
        if self._task is mine:
            self._task = None

    def _rung(self) -> float | None:
        self._ringing = True
        try:
            return self._ring()
        finally:
            self._ringing = False
