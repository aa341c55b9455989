"""The side of a journal that is drained: every process's files in its directory, those of dead processes too."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from gatewright.storage.journal.framing import HEADER, Scan, resume, scan
from gatewright.storage.journal.segment import segments
from gatewright.storage.locks import locked

__all__ = ["JournalReader"]

log = logging.getLogger("gatewright.records")

CHUNK = 1 << 18
DAMAGED = ".damaged"
MOST_BYTES = 8 << 20
"""What is read at once, of records with contents."""


class _Followed:
    """A segment that is being read: up to `read` it was, and up to `drained` what was read is safe elsewhere."""

    __slots__ = ("damaged", "drained", "fd", "live", "path", "read")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.drained = self.read = 0
        self.damaged = False
        self.live = True

    def ended(self) -> bool:
        """Say whether nobody writes it any more."""
        if self.live:
            self.live = not locked(self.fd)
        return not self.live


class JournalReader:
    """Reads all segments of a directory, the oldest first; used by one thread of one process at a time.

    `used` gives the bytes used of a segment that this process writes. `damaged` counts the places where bytes were
    no entries; what is whole around them is read, and the file is kept beside with the suffix `.damaged` unless it
    was but the end of a process that was killed while it wrote.
    """

    def __init__(self, directory: Path, used: Callable[[Path], int | None] = lambda _: None) -> None:
        self._directory = directory
        self._used = used
        self._followed: dict[Path, _Followed] = {}
        self.damaged = 0
        self.torn = 0
        self.more = False

    @property
    def follows_others(self) -> bool:
        """Whether another process is writing one of the segments."""
        return any(one.live and self._used(one.path) is None for one in self._followed.values())

    def read(self, limit: int) -> list[bytes]:
        """Give up to `limit` entries that are not drained, of some megabytes; files that have no more are removed.

        `more` says afterwards whether there was more to read.
        """
        entries: list[bytes] = []
        size = 0
        self.more = False
        for followed in self._followed.values():
            followed.read = followed.drained
        for path in segments(self._directory):
            found = self._read(path, limit - len(entries))
            entries += found
            size += sum(map(len, found))
            if len(entries) >= limit or size >= MOST_BYTES:
                self.more = True
                break
        return entries

    def drained(self) -> None:
        """Hear that what was read the last time is safe elsewhere."""
        for followed in self._followed.values():
            followed.drained = followed.read

    def backlog(self) -> int:
        """Give how many bytes are not drained; files that other processes are writing count where they are read."""
        total = 0
        for path in segments(self._directory):
            followed = self._followed.get(path)
            drained = followed.drained if followed is not None else 0
            used = self._used(path)
            if used is None:
                used = _size(path) if followed is None or followed.ended() else drained
            total += max(0, used - drained)
        return total

    def drop_oldest(self) -> int | None:
        """Remove the oldest segment that nobody writes; give how many entries were lost, None where there is none."""
        for path in segments(self._directory):
            followed = self._follow(path)
            if followed is not None and followed.ended():
                lost = len(scan(_rest(followed.fd, followed.drained), 1 << 62).entries)
                self._forget(followed)
                return lost
        return None

    def close(self) -> None:
        """Let go of all files."""
        for followed in self._followed.values():
            os.close(followed.fd)
        self._followed = {}

    def _follow(self, path: Path) -> _Followed | None:
        followed = self._followed.get(path)
        if followed is None:
            try:
                followed = self._followed[path] = _Followed(path)
            except FileNotFoundError:
                return None
        return followed

    def _read(self, path: Path, limit: int) -> list[bytes]:
        used = self._used(path)
        followed = self._follow(path)
        if followed is None or (used is not None and used <= followed.drained):
            return []
        # Asked before it is read: what is written after that is read the next time.
        ended = used is None and followed.ended()
        start = followed.drained
        data = _rest(followed.fd, start) if ended else _chunk(followed.fd, start, used, limit)
        found = scan(data, limit)
        if ended and found.broken:
            return self._mend(followed, data, found, limit)
        if ended and not found.entries:
            self._forget(followed)
            return []
        # Of a file that another process writes a chunk is read, whose end may have cut an entry off.
        self.more |= used is None and not ended and (found.broken or found.end > len(data) - HEADER)
        followed.read = start + found.end
        return found.entries

    def _mend(self, followed: _Followed, data: bytes, found: Scan, limit: int) -> list[bytes]:
        """Go on after a place of a finished segment that is no frame."""
        self.more = True
        if found.end:  # what is whole before it is drained first
            followed.read = followed.drained + found.end
            return found.entries
        place = resume(data, 0)
        if place >= len(data):
            self.torn += 1
            log.warning("%s: its last %d bytes are no whole record and are left out", followed.path.name, len(data))
            self._forget(followed)
            return []
        self.damaged += 1
        followed.damaged = True
        log.error("%s: %d bytes are damaged and left out", followed.path.name, place)
        followed.drained += place
        found = scan(data[place:], limit)
        followed.read = followed.drained + found.end
        return found.entries

    def _forget(self, followed: _Followed) -> None:
        del self._followed[followed.path]
        if followed.damaged:
            followed.path.rename(followed.path.with_suffix(DAMAGED))
        else:
            followed.path.unlink(missing_ok=True)
        os.close(followed.fd)


def _rest(fd: int, start: int) -> bytes:
    """Give everything from `start` on."""
    parts: list[bytes] = []
    while part := os.pread(fd, CHUNK, start):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _chunk(fd: int, start: int, used: int | None, limit: int) -> bytes:
    """Give what is used of a segment that is being written, or as much of it as holds an entry or more."""
    if used is not None:
        return os.pread(fd, used - start, start)
    size = CHUNK
    while True:
        data = os.pread(fd, size, start)
        found = scan(data, limit)
        if found.entries or len(data) < size or not found.broken:
            return data
        size *= 4  # an entry longer than what was read


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
