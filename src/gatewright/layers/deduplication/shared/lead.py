"""The leader's side: what comes is told to the other processes, in its order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from gatewright.layers.deduplication.shared.board import LEASE, SharedBoard
from gatewright.layers.deduplication.shared.parts import GONE, Part, encoded

__all__ = ["Lead"]

RENEWAL = LEASE / 3


class Lead:
    """Tells what came of one flight, in a task of its own, so that Redis never holds up the leader.

    What comes while one telling is under way goes with the next. Once the lead is lost, nothing more is told.
    """

    def __init__(self, board: SharedBoard, name: str, call_id: str) -> None:
        self._board = board
        self._name = name
        self._call_id = call_id
        self._parts: deque[bytes] = deque()
        self._how = "fly"
        self._more = asyncio.Event()
        self._lost = False
        self._told = 0
        self._followed = False
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
            self._heard(await self._board.publish(self._name, self._call_id, "fly", self._told))
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

    def _add(self, part: Part, how: str) -> None:
        if self._how != "fly":
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
            self._parts.clear()
            self._more.clear()
            told, self._told = self._told, self._told + len(parts)
            self._heard(await self._board.publish(self._name, self._call_id, how, told, *parts))
            if how != "fly":
                return
            if not self._more.is_set():
                await self._heard_or_time()

    def _heard(self, followed: int) -> None:
        self._lost = self._lost or followed < 0
        self._followed = followed > 0
        if not self._followed and self.on_unfollowed is not None:
            self.on_unfollowed()

    async def _heard_or_time(self) -> None:
        try:
            async with asyncio.timeout(RENEWAL):
                await self._more.wait()
        except TimeoutError:
            return
