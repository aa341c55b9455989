"""The side of a journal that is written: one append, one system call, and the answer may be handed over."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gatewright.storage.data_directory import made_directory
from gatewright.storage.journal.framing import frame
from gatewright.storage.journal.segment import Segment, bytes_in

__all__ = ["Journal", "JournalConfig"]

log = logging.getLogger("gatewright.records")

HELD_AT_MOST = 100_000
"""Entries that are kept in memory while the disk takes none."""


class JournalConfig(NamedTuple):
    """Bytes of one file and of all of them, and whether each append waits for the disk."""

    segment_bytes: int = 1 << 20
    max_bytes: int = 1 << 30
    fsync: bool = False


class Journal:
    """This process's part of the journal in a directory; safe to use from several threads.

    The next file is made in advance, so that a disk that fills up is noticed while there is room for the calls under
    way: `full` says why no further file can be made. An append then goes into the file that is there, or is held in
    memory until there is one again.
    """

    def __init__(
        self, directory: Path, config: JournalConfig | None = None, *, appended: Callable[[], object] = lambda: None
    ) -> None:
        self.directory = directory
        self._config = config or JournalConfig()
        self._appended = appended  # called by the first append after each `settled`
        self._told = False
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._spare: Segment | None = None
        self.opened = False  # whether it can be appended to without a file being made first
        self._held: list[bytes] = []
        self.last: bytes | None = None  # the entry that was appended last
        self.full: str | None = None
        self.dropped = 0

    @property
    def held(self) -> int:
        """How many entries wait in memory for a disk that takes none."""
        return len(self._held)

    def open(self) -> None:
        """Make the directory and the first file; `ConfigurationError` says why that cannot be."""
        with self._lock:
            if self._segment is None:
                made_directory(self.directory)
                self._segment = self._new(0)
                self.opened = self._segment is not None
                self._spare = self._new(0)

    def append(self, entry: bytes) -> None:
        """Add an entry; when this returns a killed process has not lost it, unless the disk takes none at all."""
        data = frame(entry)
        self.last = entry
        with self._lock:
            segment = self._segment
            if segment is None or segment.size + len(data) > segment.capacity:
                segment = self._next(len(data))
            if segment is None or self._held:
                self._hold(data)
            else:
                try:
                    segment.write(data)
                except OSError as error:
                    self._failed(segment, error)
                    self._hold(data)
        if not self._told:
            self._told = True
            self._appended()

    def settled(self) -> None:
        """Have the next append tell of itself."""
        self._told = False

    def prepare(self) -> None:
        """Make the next file where that could not be done, and write what was held; to be called now and then."""
        with self._lock:
            if self._segment is None and not self._held:
                return
            if self._spare is None:
                self._spare = self._new(0)
            while self._held:
                data = self._held[0]
                segment = self._segment
                if segment is None or not segment.has_room(len(data)):
                    segment = self._next(len(data))
                if segment is None:
                    return
                try:
                    segment.write(data)
                except OSError as error:
                    self._failed(segment, error)
                    return
                del self._held[0]
            if self._spare is not None:
                self._is_open()

    def used(self, path: Path) -> int | None:
        """Give how many bytes of a file are used, where it is one that is being written here."""
        for segment in (self._segment, self._spare):
            if segment is not None and segment.path == path:
                return segment.size
        return None

    def close(self) -> None:
        """End this process's part; what is in it is drained by whoever drains the directory."""
        with self._lock:
            for segment in (self._segment, self._spare):
                if segment is not None:
                    segment.finish()
            self._segment = self._spare = None
            self.opened = False

    def forget(self) -> None:
        """Let go, in a forked child, of files that are the parent's to write."""
        self._lock = threading.Lock()
        for segment in (self._segment, self._spare):
            if segment is not None:
                os.close(segment.fd)
        self._segment = self._spare = None
        self.opened = False
        self._held = []
        self.last = None
        self._told = False

    def _next(self, size: int) -> Segment | None:
        """Go on to the spare file, or to one that is made now."""
        following = self._spare
        if following is not None and following.has_room(size):
            self._spare = None
        else:
            following = self._new(size)
        if following is not None:
            if self._segment is not None:
                self._segment.finish()
            self._segment, self.opened = following, True
            self._spare = self._new(0)
        return following

    def _new(self, size: int) -> Segment | None:
        """Make a file; None, with `full` saying why, where that cannot be."""
        capacity = max(self._config.segment_bytes, size)
        if bytes_in(self.directory) + capacity > self._config.max_bytes:
            return self._is_full(f"it has the {self._config.max_bytes:,} bytes that journal_max_bytes allows")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have removed it
            segment = Segment(self.directory, capacity, sync=self._config.fsync)
        except OSError as error:
            return self._is_full(f"{self.directory}: {error.strerror or error}")
        self._is_open()
        return segment

    def _is_full(self, why: str) -> None:
        if self.full is None:
            log.error("the journal of records takes no more: %s", why)
        self.full = why

    def _is_open(self) -> None:
        if self.full is not None:
            log.warning("the journal of records takes records again")
        self.full = None

    def _failed(self, segment: Segment, error: OSError) -> None:
        self._is_full(f"{segment.path}: {error.strerror or error}")

    def _hold(self, data: bytes) -> None:
        if len(self._held) >= HELD_AT_MOST:
            del self._held[0]
            self.dropped += 1
        self._held.append(data)
