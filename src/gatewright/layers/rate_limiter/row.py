"""Lanes in the order in which they are due."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.lanes import Lane, Line

__all__ = ["Due", "Entry", "Order", "Row"]

Due = tuple[int, float, float, int]
"""When a lane is due, the smaller the sooner: its rank, the virtual time, whom it gives way to, its first call's
arrival."""

Order = tuple[int, bool, float, float, int]
"""How urgent a lane is: the same, and after its rank whether it is early, which counts from when it no longer is."""

Entry = tuple[Order, int, "Lane"]
"""A lane in a heap: its order, a number that tells entries apart, the lane."""


class Row:
    """The lanes that stand before one gate, or (`line` None) are ready to be tried; `length` is how many.

    Whoever is early stands apart, until the virtual time comes to it. That a lane has become less urgent, or has left,
    is seen when it comes to the top.
    """

    __slots__ = ("_line", "due", "early", "length")

    def __init__(self, line: Line | None) -> None:
        self._line = line
        self.length = 0
        self.due: list[Entry] = []
        self.early: list[Entry] = []

    def add(self, lane: Lane, number: int) -> None:
        """Put a lane in the row; of two that are as urgent the smaller number is first."""
        self.length += 1
        self._put(lane, lane.order_at(self._line), number)

    def remove(self, lane: Lane) -> None:
        """Have a lane that stands here leave."""
        self.length -= 1
        lane.entry = None

    def top(self) -> Entry | None:
        """Give the most urgent lane, and its order."""
        if self.early:
            self._settle(self.early)
        due = self._settle(self.due)
        # Only now: of those that were due some may have turned out to be early.
        if not self.early:
            return due
        early = self.early[0]
        return early if due is None or early[0] < due[0] else due

    def take(self) -> Lane | None:
        """Take out the most urgent lane."""
        if self.length == 1 == len(self.due) and not self.early:
            entry = self.due.pop()
        else:
            entry = self.top()
            if entry is None:
                return None
            heappop(self.early if entry[0][1] else self.due)
        lane = entry[2]
        self.remove(lane)
        return lane

    def forget(self) -> None:
        """Let go of line and lanes, which refer to this: what goes in circles is freed late, and all at once."""
        self._line = None
        self.due.clear()
        self.early.clear()

    def compact(self) -> None:
        """Drop the entries of lanes that left."""
        for heap in (self.due, self.early):
            heap[:] = [entry for entry in heap if entry[2].entry is entry]
            heapify(heap)

    def _settle(self, heap: list[Entry]) -> Entry | None:
        """Put right the top of a heap, and give it."""
        line = self._line
        while heap:
            entry = heap[0]
            lane = entry[2]
            if lane.entry is not entry:
                heappop(heap)
                continue
            order, known = lane.order_at(line), entry[0]
            if order == known or (order[1] is known[1] and order < known and order[4] == known[4]):
                return entry
            heappop(heap)
            self._put(lane, order, entry[1])
        return None

    def _put(self, lane: Lane, order: Order, number: int) -> None:
        lane.entry = (order, number, lane)
        heappush(self.early if order[1] else self.due, lane.entry)
