"""Python's cyclic collector, paced by how many calls are under way.

Every call under way holds some hundred objects that the collector looks at. With thousands of calls it would look at
all of them again and again, find nothing, and cost more than the calls: it runs by how many more objects were made
than freed, which is then not a sign of garbage. So its first threshold is raised with the calls, and put back after.
"""

from __future__ import annotations

import gc

__all__ = ["FEW", "PACE", "CollectorPace"]

FEW = 256
"""Up to so many calls the host's own threshold is left alone."""
OBJECTS_A_CALL = 128
"""What a call under way holds, with what its caller's task does, rounded up."""


class CollectorPace:
    """Raises the process's threshold while many calls are under way; one for all gateways of a process."""

    __slots__ = ("_host", "_ours", "lower_at", "raise_at")

    def __init__(self) -> None:
        self._host: tuple[int, int, int] | None = None
        self._ours = 0
        self.raise_at = FEW
        self.lower_at = -1

    def raised(self, calls: int) -> None:
        """Hear that `raise_at` calls are under way."""
        host = self._host or gc.get_threshold()
        self.raise_at = calls * 2
        self.lower_at = calls // 4
        wanted = calls * 2 * OBJECTS_A_CALL
        if not gc.isenabled() or host[0] == 0 or host[0] >= wanted:
            return
        self._host, self._ours = host, wanted
        gc.set_threshold(wanted, *host[1:])

    def lowered(self, calls: int) -> None:
        """Hear that only `lower_at` are left: what the host had is put back, unless it changed it itself."""
        if calls > FEW // 4:
            self.raise_at, self.lower_at = calls * 2, calls // 4
            return
        host, self._host = self._host, None
        self.raise_at, self.lower_at = FEW, -1
        if host is not None and gc.get_threshold()[0] == self._ours:
            gc.set_threshold(*host)


PACE = CollectorPace()
