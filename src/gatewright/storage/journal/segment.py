"""One file of a journal, while it is written."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

from gatewright.storage.locks import locked

__all__ = ["SUFFIX", "Segment", "bytes_in", "segments"]

SUFFIX = ".journal"
_numbers = itertools.count()


class Segment:
    """A file whose space is allocated when it is made, so that writing to it later cannot find the disk full.

    It is locked while it is written; whoever finds one without a lock knows that nothing will be added. With `sync`
    each write waits for the disk itself.
    """

    __slots__ = ("_sync", "capacity", "fd", "path", "size")

    def __init__(self, directory: Path, capacity: int, *, sync: bool = False) -> None:
        name = f"{time.time_ns():020}-{os.getpid()}-{next(_numbers)}"
        unfinished = directory / f"{name}.new"
        self.path = directory / f"{name}{SUFFIX}"
        self.capacity = capacity
        self.size = 0
        self._sync = sync
        self.fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            locked(self.fd)
            _allocate(self.fd, capacity)
            # It gets its name when it is locked: one without a lock would be taken for a dead process's.
            unfinished.rename(self.path)
        except BaseException:
            os.close(self.fd)
            unfinished.unlink(missing_ok=True)
            raise

    def has_room(self, size: int) -> bool:
        """Say whether so many bytes fit."""
        return self.size + size <= self.capacity

    def write(self, data: bytes) -> None:
        """Add to it; an `OSError` of the write leaves it as it was."""
        written = os.pwrite(self.fd, data, self.size)
        if written != len(data):  # it never was, with its space allocated
            os.pwrite(self.fd, bytes(written), self.size)
            raise OSError(f"{written} of {len(data)} bytes were written")
        self.size += written
        if self._sync:
            os.fsync(self.fd)

    def finish(self) -> None:
        """Give back the space that is left, and the lock; one without entries goes away."""
        with contextlib.suppress(OSError):
            if self.size == 0:
                self.path.unlink(missing_ok=True)
            else:
                os.ftruncate(self.fd, self.size)
        os.close(self.fd)


def _allocate(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:  # macOS
        os.pwrite(fd, bytes(size), 0)


def segments(directory: Path) -> list[Path]:
    """Give the segments of a journal, the oldest first."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [directory / name for name in sorted(one.name for one in entries if one.name.endswith(SUFFIX))]
    return []


def bytes_in(directory: Path) -> int:
    """Give the size of all segments together."""
    total = 0
    for path in segments(directory):
        with contextlib.suppress(FileNotFoundError):  # it was drained just now
            total += path.stat().st_size
    return total
