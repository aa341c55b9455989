"""Reports out of the store, with what was just answered in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gatewright.errors import BadRequest
from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.reports.costs import costs
from gatewright.llmops.reports.metrics import metrics, series
from gatewright.llmops.reports.totals import moment
from gatewright.llmops.reports.window import Window, window_of
from gatewright.storage.sql.reading import RecordReader, Snapshot
from gatewright.storage.sql.summing import Whose

__all__ = ["Backlog", "Reports"]

FLUSH_SECONDS = 5.0
"""How long a report waits, at the most, for what was just recorded: usually milliseconds, longer for a new database."""
Made = Callable[[Snapshot, Whose, Window], dict[str, Any]]


class Backlog(Protocol):
    """What is recorded and not in the store yet."""

    def flush(self, seconds: float) -> bool:
        """Bring it to the store within so many seconds; False where that was not to be."""
        ...


class Reports:
    """Reads the store that a gateway writes, or one that nobody writes at the moment; safe to use from threads.

    Every report says in `complete` whether all that was recorded before is in it. `StoreUnavailable` is raised where
    the store does not answer.
    """

    def __init__(
        self,
        where: str | Path,
        config: RecordsConfig | None = None,
        *,
        backlog: Backlog | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reader = RecordReader(where)
        self._config = config or RecordsConfig()
        self._backlog = backlog
        self._wall = wall

    def metrics(self, tenant_id: str | None, agent_id: str | None, hours: float) -> dict[str, Any]:
        """Give how it went; see docs/metrics.md for the fields."""
        return self._report(metrics, tenant_id, agent_id, hours)

    def costs(self, tenant_id: str | None, agent_id: str | None, hours: float) -> dict[str, Any]:
        """Give what it costs; see docs/costs.md for the fields."""
        return self._report(costs, tenant_id, agent_id, hours)

    def series(
        self, tenant_id: str | None, agent_id: str | None, hours: float, step: str | None = None
    ) -> dict[str, Any]:
        """Give a line for each minute, hour or day."""

        def make(snapshot: Snapshot, whose: Whose, window: Window) -> dict[str, Any]:
            return series(snapshot, whose, window, step)

        return self._report(make, tenant_id, agent_id, hours)

    def close(self) -> None:
        """Close the connections to the store."""
        self._reader.close()

    def _report(self, make: Made, tenant_id: object, agent_id: object, hours: object) -> dict[str, Any]:
        whose = Whose(_name("tenant_id", tenant_id), _name("agent_id", agent_id))
        window = window_of(hours, self._wall(), self._config)
        complete = self._backlog is None or self._backlog.flush(FLUSH_SECONDS)
        with self._reader.snapshot() as snapshot:
            found = make(snapshot or _Empty(), whose, window)
        return {
            "tenant_id": whose.tenant,
            "agent_id": whose.agent,
            "time_range_hours": hours,
            "from": moment(window.start),
            "to": moment(window.end),
            "complete": complete,
            **found,
        }


class _Empty:
    """A store in which nothing is."""

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return []

    def stream(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        return iter(())


def _name(what: str, value: object) -> str | None:
    """Give a tenant's or an agent's name; None stands for all of them."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise BadRequest(f"{what}: expected a name that is not empty, or None for all, got {value!r}", param=what)
