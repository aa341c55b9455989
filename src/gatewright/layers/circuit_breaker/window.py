"""How many calls went well and how many failed lately."""

from __future__ import annotations

__all__ = ["SlidingWindow"]

PARTS = 10


class SlidingWindow:
    """Counts over the last `seconds`, in ten parts; adding and reading are O(1) and never look at a single call.

    Whoever counts by hand does it before the newest part `ends`, and otherwise has it advance first.
    """

    __slots__ = ("_failed", "_newest", "_part", "_succeeded", "ends", "failed", "succeeded")

    def __init__(self, seconds: float) -> None:
        self._part = seconds / PARTS
        self.clear()

    @property
    def total(self) -> int:
        """All calls in the window, as of the last `advance` or `add`."""
        return self.failed + self.succeeded

    def clear(self) -> None:
        """Forget everything."""
        # Each part's share of the counts, when it is over: until then the newest has none of its own.
        self._failed = [0] * PARTS
        self._succeeded = [0] * PARTS
        self._newest = 0
        self.ends = self._part
        self.failed = 0
        self.succeeded = 0

    def add(self, failed: bool, now: float) -> None:
        """Count one call."""
        if now >= self.ends:
            self.advance(now)
        if failed:
            self.failed += 1
        else:
            self.succeeded += 1

    def advance(self, now: float) -> None:
        """Drop what is older than the window."""
        newest = int(now / self._part)
        if newest <= self._newest:
            return
        over = self._newest % PARTS
        self._failed[over] = self.failed - sum(self._failed)
        self._succeeded[over] = self.succeeded - sum(self._succeeded)
        for part in range(max(self._newest + 1, newest - PARTS + 1), newest + 1):
            place = part % PARTS
            self.failed -= self._failed[place]
            self.succeeded -= self._succeeded[place]
            self._failed[place] = self._succeeded[place] = 0
        self._newest = newest
        self.ends = (newest + 1) * self._part
