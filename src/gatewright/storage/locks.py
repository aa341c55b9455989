"""Locks on files: held by one process at a time, and let go of by the system when that one dies, however it dies."""

from __future__ import annotations

import os
from pathlib import Path

from gatewright.errors import ConfigurationError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["FileLock", "locked"]


def locked(fd: int) -> bool:
    """Lock an open file for this descriptor alone, without waiting; False where another has it."""
    if fcntl is None:
        raise ConfigurationError(
            "record_operations: this system has no locks on files (flock): set it to False", param="record_operations"
        )
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """The lock of one file, which is made where it is not there and left where it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is this one's."""
        return self._fd is not None

    def take(self) -> bool:
        """Take it, without waiting; False where another process, or another one here, has it."""
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not locked(fd):
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        """Let go of it; in a forked child of its holder, the holder keeps it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
