"""Where feedback waits on this machine's disk while the database is down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gatewright.errors import GatewayError
from gatewright.feedback.types import Delivery, Feedback
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.journal import Journal, JournalConfig, JournalReader
from gatewright.storage.journal.segment import segments
from gatewright.storage.locks import FileLock

__all__ = ["Kept", "Spool"]

Kept = tuple[Feedback, Sequence[Delivery]]
BATCH = 500
REJECTED = "rejected.feedback"
SEGMENT_BYTES = 1 << 18

log = logging.getLogger("gatewright.feedback")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Feedback, list[Delivery]])


class Spool:
    """A journal of feedback in a directory, shared by the processes that use it; one of them drains it at a time."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._journal = Journal(directory, JournalConfig(SEGMENT_BYTES, max_bytes, fsync=True))
        self._reader = JournalReader(directory, self._journal.used)
        self._turn = FileLock(directory / "drain.lock")
        self._lock = threading.Lock()

    def add(self, feedback: Feedback, due: Sequence[Delivery]) -> None:
        """Keep one on the disk itself; `StoreUnavailable` where that takes none either."""
        self._journal.open()
        if not self._journal.opened or self._journal.full is not None:
            raise StoreUnavailable(f"the feedback cannot be kept: {self._journal.full}")
        self._journal.append(_encoder.encode((feedback, due)))
        if self._journal.held:
            raise StoreUnavailable(f"the feedback cannot be kept: {self._journal.full}")

    def waiting(self) -> bool:
        """Say whether anything waits."""
        return bool(segments(self._directory))

    def drain(self, add: Callable[[Sequence[Kept]], None]) -> int:
        """Hand over what waits, in batches, and let go of each when `add` has returned; gives how many that were.

        What was handed over when the process died is handed over again: `add` has to know what it has.
        """
        moved = 0
        with self._lock:
            if not segments(self._directory) or not self._turn.take():
                return 0
            try:
                while entries := self._reader.read(BATCH):
                    self._hand_over(entries, add)
                    self._reader.drained()
                    moved += len(entries)
                self._journal.close()
                self._reader.read(1)  # which removes the files that are done with
            finally:
                self._turn.release()
        return moved

    def _hand_over(self, entries: Sequence[bytes], add: Callable[[Sequence[Kept]], None]) -> None:
        """Hand over a batch; where something in it is not taken, all of it but that, which is put aside."""
        try:
            add([_decoder.decode(entry) for entry in entries])
        except GatewayError:
            raise
        except Exception:
            if len(entries) > 1:
                for entry in entries:
                    self._hand_over([entry], add)
                return
            log.exception("a feedback of %d bytes cannot be stored and is put aside", len(entries[0]))
            with (self._directory / REJECTED).open("ab") as file:
                file.write(entries[0] + b"\n")

    def close(self) -> None:
        """Let go of the files; what waits is drained by the next process."""
        with self._lock:
            self._journal.close()
            self._reader.close()

    def forget(self) -> None:
        """Let go, in a forked child, of files that are the parent's to write."""
        self._lock = threading.Lock()
        self._journal.forget()
        self._reader.close()
        self._turn = FileLock(self._directory / "drain.lock")
