"""When closed gates are foretold to open, the soonest first."""

from __future__ import annotations

import math
from collections.abc import Sized
from heapq import heapify, heappop, heappush
from itertools import count

from gatewright.layers.rate_limiter.lanes import Line

__all__ = ["Openings"]


class Openings:
    """One time for each of the `lines` at most, its `alarm`; what is not it any more is dropped lazily, and soon."""

    __slots__ = ("_heap", "_lines", "_numbers")

    def __init__(self, lines: Sized) -> None:
        self._lines = lines
        self._heap: list[tuple[float, int, Line]] = []
        self._numbers = count()

    @property
    def next(self) -> float | None:
        """The time of the first; None where none is foretold."""
        while self._heap and self._heap[0][2].alarm != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def foretell(self, line: Line, time: float) -> None:
        """Say when a line's gate opens; an earlier time stays, for whoever is tried too early is parked again."""
        if time < line.alarm:
            line.alarm = time
            heappush(self._heap, (time, next(self._numbers), line))
            if len(self._heap) > 2 * len(self._lines) + 64:
                self._heap = [one for one in self._heap if one[2].alarm == one[0]]
                heapify(self._heap)

    def take_due(self, now: float) -> Line | None:
        """Take out a line whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            time, _, line = heappop(self._heap)
            if line.alarm == time:
                line.alarm = math.inf
                return line
        return None
