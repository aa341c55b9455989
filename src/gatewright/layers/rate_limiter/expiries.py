"""Until when each of those who wait may do so."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import count

from gatewright.layers.rate_limiter.waiter import Waiter

__all__ = ["Expiries"]


class Expiries:
    """A heap of when the `waiters` expire; those who have gone are dropped lazily, and soon."""

    __slots__ = ("_heap", "_numbers", "_waiters")

    def __init__(self, waiters: Mapping[Waiter, None]) -> None:
        self._waiters = waiters
        self._heap: list[tuple[float, int, Waiter]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, waiter: Waiter) -> None:
        """Take note of when a call expires: one that has come, or may wait for another time from now on."""
        heappush(self._heap, (waiter.expires, next(self._numbers), waiter))
        if len(self._heap) > 2 * len(self._waiters) + 64:
            self._heap = [one for one in self._heap if self._holds(one)]
            heapify(self._heap)

    def take_due(self, now: float) -> Waiter | None:
        """Take out a call whose time is up."""
        while self._heap and self._heap[0][0] <= now:
            due = heappop(self._heap)
            if self._holds(due):
                return due[2]
        return None

    @property
    def next(self) -> float | None:
        """The time at which somebody may expire; None where nobody waits."""
        if not self._waiters:
            self._heap.clear()
            return None
        while self._heap[0][2] not in self._waiters:
            heappop(self._heap)
        return self._heap[0][0]

    def clear(self) -> None:
        """Forget everyone."""
        self._heap.clear()

    def _holds(self, one: tuple[float, int, Waiter]) -> bool:
        return one[2] in self._waiters and one[0] == one[2].expires
