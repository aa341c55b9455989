"""What is dropped from the store, when its time has come."""

from __future__ import annotations

import time
from collections.abc import Callable

from gatewright.llmops.config import RecordsConfig
from gatewright.storage.sql.store import Cutoffs, RecordStore

__all__ = ["Retention"]

DAY = 86400


class Retention:
    """Drops what is older than the configuration keeps it, in steps that hold up nobody for long."""

    def __init__(self, store: RecordStore, config: RecordsConfig, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._config = config
        self._wall = wall

    def step(self) -> bool:
        """Drop some; True where there may be more."""
        return self._store.retain(self.cutoffs())

    def cutoffs(self) -> Cutoffs:
        """Give the moments before which things go; a content goes no later than its operation."""
        config, now = self._config, int(self._wall())

        def before(days: int | None) -> int | None:
            return None if days is None else now - days * DAY

        contents = [days for days in (config.keep_content, config.keep_operations) if days is not None]
        return Cutoffs(
            operations=before(config.keep_operations),
            contents=before(min(contents, default=None)),
            minutes=before(config.keep_minutes),
            hours=before(config.keep_hours),
        )
