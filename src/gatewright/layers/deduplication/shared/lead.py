"""The leader's side: what comes is told to the other processes, in its order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gatewright.layers.deduplication.shared.board import FOLLOWING, LEASE, SharedBoard
from gatewright.layers.deduplication.shared.parts import GONE, Gone, Part, encoded

__all__ = ["Lead"]

RENEWAL = LEASE / 3
RESUMED = LEASE - RENEWAL
"""Seconds for which Redis may be away: until then it still has the lead, if it lost nothing."""


class Lead:
    """Tells what came of one flight, in a task of its own, so that Redis never holds up the leader.

    What comes while one telling is under way goes with the next; what Redis did not answer to is told again. Once the
    lead is lost, nothing more is told.
    """

    def __init__(self, board: SharedBoard, name: str, call_id: str) -> None:
        self._board = board
        self._name = name
        self._call_id = call_id
        self._parts: list[bytes] = []  # those of which it is not known that they were told
        self._how = "fly"
        self._more = asyncio.Event()
        self._lost = False
        self._told = 0
        self._followed = False
        self._away = False
        self._resumed = RESUMED
        self._believed_until = 0.0
        self.on_unfollowed: Callable[[], object] | None = None
        """Hears that nobody follows any more."""
        self.task = asyncio.get_running_loop().create_task(self._tell())

    @property
    def was_followed(self) -> bool:
        """Whether other processes wanted what came when Redis was told last."""
        return self._followed

    async def is_followed(self) -> bool:
        """Say whether other processes want what comes; it is asked."""
        if not self._lost and self._how == "fly":
            followed = await self._board.publish(self._name, self._call_id, "fly", self._told)
            if followed is not None:
                self._heard(followed)
        return self._followed and not self._lost

    def came(self, part: Part) -> None:
        """Tell a part of it."""
        self._add(part, "fly")

    def landed(self, part: Part) -> None:
        """Tell its end."""
        self._add(part, "land")

    def failed(self, part: Part) -> None:
        """Tell that nothing more will come; it is not remembered."""
        self._add(part, "fail")

    def end(self) -> None:
        """Tell, if Redis can be told now, that nothing more will come."""
        self.failed(Gone())
        self._resumed = 0.0
        if self._away:
            self.task.cancel()

    def _add(self, part: Part, how: str) -> None:
        if self._how != "fly" or self._lost:
            return
        data = encoded(part)
        if data is None:
            data, how = GONE, "fail"
        self._parts.append(data)
        self._how = how
        self._more.set()

    async def _tell(self) -> None:
        while not self._lost:
            parts, how = list(self._parts), self._how
            self._more.clear()
            followed = await self._board.publish(self._name, self._call_id, how, self._told, *parts)
            if followed is None:
                await self._redis_is_back()
                continue
            del self._parts[: len(parts)]
            self._told += len(parts)
            if self._away:
                # Those who follow may have been away as well, and have yet to say that they are there.
                self._away, self._believed_until = False, time.monotonic() + FOLLOWING
            self._heard(followed)
            if how != "fly":
                return
            if not self._more.is_set():
                await self._heard_or_time()

    async def _redis_is_back(self) -> None:
        """Wait until Redis answers again; the lead is lost where that takes too long."""
        again, self._away = self._away, True
        # Once only: what is told may be what Redis fails at.
        if again or not await self._board.back(self._resumed):
            self._board.left_open(self._name, self._call_id)
            self._heard(-1)

    def _heard(self, followed: int) -> None:
        self._lost = self._lost or followed < 0
        if followed == 0 and self._followed and time.monotonic() < self._believed_until:
            return
        self._followed = followed > 0
        if not self._followed and self.on_unfollowed is not None:
            self.on_unfollowed()

    async def _heard_or_time(self) -> None:
        try:
            async with asyncio.timeout(RENEWAL):
                await self._more.wait()
        except TimeoutError:
            return
