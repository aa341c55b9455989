"""The parts of a feedback loop that stand on the records' database; importing them waits until they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.meaning import Embed, Meanings
from gatewright.storage.data_directory import made_directory

if TYPE_CHECKING:
    from gatewright.feedback.analysis import Analyst
    from gatewright.feedback.operations import Operations
    from gatewright.feedback.outbox import Outbox
    from gatewright.feedback.spool import Spool
    from gatewright.feedback.store import FeedbackStore
    from gatewright.storage.sql.database import Database

__all__ = ["Archive"]

SPOOL = "feedback"


class Archive:
    """Makes them when the first is asked for, and lets go of them."""

    def __init__(
        self,
        config: FeedbackConfig,
        directory: Path,
        database: Callable[[], Database],
        embed: Embed | None,
        model: str | None,
    ) -> None:
        self._config = config
        self._directory = directory
        self._open = database
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
                made_directory(self._directory)
                self._database = self._open()
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
                self._spool = Spool(self._directory / SPOOL, self._config.spool_max_bytes)
            return self._spool

    def left_behind(self) -> bool:
        """Say, without opening anything, whether an earlier process may have left feedback on the disk."""
        return (self._directory / SPOOL).is_dir()

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
