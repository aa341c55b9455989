"""The parts of a feedback loop that stand on the records' database; importing them waits until they are needed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.meaning import Embed, Meanings
from gatewright.storage.data_directory import data_directory, made_directory
from gatewright.storage.sql.address import address_of, store_name

if TYPE_CHECKING:
    from gatewright.feedback.analysis import Analyst
    from gatewright.feedback.operations import Operations
    from gatewright.feedback.outbox import Outbox
    from gatewright.feedback.spool import Spool
    from gatewright.feedback.store import FeedbackStore
    from gatewright.storage.sql.database import Database

__all__ = ["DATABASE", "Archive", "waits_on_disk"]

DATABASE = "records.sqlite"
SPOOL = "feedback"


class Archive:
    """Makes them when the first is asked for, and lets go of them."""

    def __init__(
        self,
        config: FeedbackConfig,
        data_dir: Path | None,
        database_url: str | None,
        embed: Embed | None,
        model: str | None,
    ) -> None:
        self._config = config
        self._directory, self._where = _places(data_dir, database_url)
        self._waiting = self._directory / SPOOL / store_name(self._where)
        self._model = model
        self._meanings = Meanings(embed) if embed is not None else None
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._spool: Spool | None = None

    @property
    def database(self) -> Database:
        """The records' database."""
        with self._lock:
            if self._database is None:
                from gatewright.storage.sql.database import Database

                made_directory(self._directory)
                self._database = Database(self._where)
            return self._database

    @property
    def store(self) -> FeedbackStore:
        """Where feedback is."""
        from gatewright.feedback.store import FeedbackStore

        return FeedbackStore(self.database)

    @property
    def outbox(self) -> Outbox:
        """What callbacks have yet to be told."""
        from gatewright.feedback.outbox import Outbox

        return Outbox(self.database, self._config.callbacks)

    @property
    def operations(self) -> Operations:
        """What feedback is about."""
        from gatewright.feedback.operations import Operations

        return Operations(self.database)

    @property
    def analyst(self) -> Analyst:
        """What feedback teaches."""
        from gatewright.feedback.analysis import Analyst

        return Analyst(self.database, self._config, self._meanings, self._model)

    @property
    def spool(self) -> Spool:
        """Where feedback waits while the database is down."""
        from gatewright.feedback.spool import Spool

        with self._lock:
            if self._spool is None:
                self._spool = Spool(self._waiting, self._config.spool_max_bytes)
            return self._spool

    def left_behind(self) -> bool:
        """Say, without opening anything, whether an earlier process may have left feedback on the disk."""
        return self._waiting.is_dir()

    def close(self) -> None:
        """Close what was opened; it is opened again when it is asked for again."""
        with self._lock:
            spool, self._spool = self._spool, None
            database, self._database = self._database, None
        if spool is not None:
            spool.close()
        if database is not None:
            database.close()

    def forget(self) -> None:
        """Let go, in a forked child, of what is the parent's."""
        self._lock = threading.RLock()
        spool, self._spool = self._spool, None
        database, self._database = self._database, None
        if spool is not None:
            spool.forget()
        if database is not None:
            database.forget()


def waits_on_disk(data_dir: Path | None, database_url: str | None) -> bool:
    """Say, without opening anything, whether a process may have left feedback on the disk for this database."""
    directory, where = _places(data_dir, database_url)
    return (directory / SPOOL / store_name(where)).is_dir()


def _places(data_dir: Path | None, database_url: str | None) -> tuple[Path, Path | str]:
    directory = data_directory(data_dir)
    return directory, directory / DATABASE if database_url is None else address_of(database_url)
