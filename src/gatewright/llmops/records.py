"""The records of one data directory, as all gateways of a process share them: a journal, a store, and their writer."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gatewright.errors import RecordsUnavailable
from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.writer import Writer
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.journal import Journal, JournalConfig
from gatewright.storage.sql.address import address_of
from gatewright.storage.sql.store import RecordStore

__all__ = ["Records"]

DATABASE = "records.sqlite"
EXIT_SECONDS = 1.0
"""How long the end of the process waits for what the writer is at."""
FRESH_SECONDS = 10.0
"""For so long after it answered the store counts as one that answers."""


class Records:
    """Takes records at once, and brings them to the store in its own time.

    Made by `Records.of`, which gives the one that there is of a directory and a database; whoever has it calls
    `release` in the end. Nothing is opened, and no thread runs, before the first call is admitted.
    """

    def __init__(self, directory: Path, database_url: str | None, config: RecordsConfig) -> None:
        where = directory / DATABASE if database_url is None else address_of(database_url)
        self.config = config
        self.where = where
        self.store = RecordStore(where)
        self.journal = Journal(
            directory / "journal" / _store_name(where),
            JournalConfig(config.journal_segment_bytes, config.journal_max_bytes, config.journal_fsync),
            appended=self._appended,
        )
        self.writer = Writer(self.journal, self.store, config)
        self._users = 0
        self._key: tuple[str, str] = _key(directory, where)

    @classmethod
    def of(cls, directory: Path, database_url: str | None = None, config: RecordsConfig = RecordsConfig()) -> Records:
        """Give the records of a directory and a database, the same to all who ask; the first one's `config` holds."""
        where = directory / DATABASE if database_url is None else address_of(database_url)
        with _lock:
            records = _open.get(_key(directory, where))
            if records is None:
                records = _open[_key(directory, where)] = cls(directory, database_url, config)
            records._users += 1
            return records

    def admit(self) -> None:
        """Raise `RecordsUnavailable` where a call could not be recorded; to be asked before one is made."""
        if not self.journal.opened:
            self.journal.open()
            self.writer.start()
        full = self.journal.full
        if full is None or self.config.when_full == "drop_oldest":
            return
        failure = self.writer.failure
        because = f"; it is not drained: {failure.message}" if failure is not None else ""
        raise RecordsUnavailable(
            f"the journal of records takes no more: {full}{because}. Calls are refused until it does: make room, see "
            "to the database, or set records.when_full to drop_oldest or record_operations to False"
        )

    def flush(self, seconds: float) -> bool:
        """Bring to the store all that is there now, from dead processes too; False where that cannot be in time.

        Where another process drains the directory, it does so within its `interval`.
        """
        if not self.journal.opened and not self.journal.directory.exists():
            return True
        self.writer.start()
        return self.writer.flush(seconds)

    def release(self, seconds: float = 0.0) -> None:
        """Let go of it; the last one closes everything, after so many seconds at most for what is to be drained."""
        with _lock:
            self._users -= 1
            last = self._users <= 0
            if last:
                _open.pop(self._key, None)
        until = time.monotonic() + seconds
        if last:
            self.journal.close()
        if seconds > 0 and self.writer.failure is None:
            self.writer.flush(seconds)
        if last:
            self.writer.stop(max(0.0, until - time.monotonic()))

    def status(self) -> dict[str, Any]:
        """Say how much is not in the store yet, what was lost, and what is wrong."""
        writer, journal = self.writer, self.journal
        backlog = writer.backlog
        answered = writer.answered_at
        return {
            "backlog_bytes": backlog,
            "behind_seconds": round(time.monotonic() - answered, 1) if backlog and answered is not None else 0.0,
            "held_in_memory": journal.held,
            "dropped": writer.dropped + journal.dropped,
            "rejected": writer.rejected,
            "damaged": writer.damaged,
            "refusing": journal.full is not None and self.config.when_full == "refuse",
            "draining": "here" if writer.here else "elsewhere",
        }

    def check(self) -> None:
        """Raise where the store does not answer, or the journal takes nothing."""
        if self.journal.full is not None:
            raise RecordsUnavailable(self.journal.full)
        writer = self.writer
        if writer.failure is not None:
            raise writer.failure
        if writer.answered_at is not None and time.monotonic() - writer.answered_at > FRESH_SECONDS:
            self.store.check()

    def _appended(self) -> None:
        self.writer.wake()

    def _forget(self) -> None:
        self.journal.forget()
        self.store.abandon()
        self.writer.forget()


def _key(directory: Path, where: Path | str) -> tuple[str, str]:
    return (str(directory), str(where))


def _store_name(where: Path | str) -> str:
    """Name the journal by the store that it is for: one that is for PostgreSQL is not drained into a file."""
    if isinstance(where, Path):
        return "sqlite" if where.name == DATABASE else f"sqlite-{_digest(str(where))}"
    # Whoever changes the password drains the same journal.
    host = where.partition("://")[2].rpartition("@")[2]
    return f"postgresql-{_digest(host)}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


_lock = threading.RLock()  # a gateway may be collected, and let go, while another is made
_open: weakref.WeakValueDictionary[tuple[str, str], Records] = weakref.WeakValueDictionary()


def _at_exit() -> None:
    """Let no thread be inside a database's library when the interpreter goes; what is left is drained by the next."""
    for records in list(_open.values()):
        with contextlib.suppress(StoreUnavailable):
            records.writer.stop(EXIT_SECONDS)


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for records in list(_open.values()):
        records._forget()  # pyright: ignore[reportPrivateUsage]


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
