"""The store of operations: batches are written whole or not at all, and nothing is counted twice."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from gatewright.storage.sql.address import address_of
from gatewright.storage.sql.backend import Backend, Duplicate, backend_for
from gatewright.storage.sql.names import Names
from gatewright.storage.sql.rollups import Rollups
from gatewright.storage.sql.rows import Row, SeriesKey, attempt_rows, content_row, operation_row, series_key
from gatewright.types.records import LateAttempt, OperationRecord

__all__ = ["Cutoffs", "RecordStore"]

MOST_NAMES = 100_000
"""Names and series whose numbers are remembered."""


class Cutoffs(NamedTuple):
    """Seconds since 1970 before which things are dropped; None keeps them."""

    operations: int | None = None
    contents: int | None = None
    minutes: int | None = None
    hours: int | None = None


class RecordStore:
    """Operations, their attempts and contents, and the rollups, in SQLite or PostgreSQL; safe to use from threads.

    A record whose id is stored is left out, its rollups too, so that what was written but not known to be written can
    be written again. Everything raises `StoreUnavailable` where the database does not answer.
    """

    def __init__(self, where: str | Path) -> None:
        self._where = address_of(where)
        self._lock = threading.Lock()
        self._names = Names(self._number_of)
        self._series: dict[SeriesKey, int] = {}

    @functools.cached_property
    def _backend(self) -> Backend:
        # Its library is imported when there is something to store, and not when a gateway is made.
        return backend_for(self._where)

    def _number_of(self, name: str) -> int:
        return self._backend.name(name)

    def write(self, records: Sequence[OperationRecord], late: Sequence[LateAttempt] = ()) -> int:
        """Store what is not stored yet, in one transaction; give how many operations that were."""
        new = list({record.id: record for record in records}.values())
        with self._lock:
            try:
                with self._transaction():
                    self._insert(new, late)
            except Duplicate:
                with self._transaction():
                    known = self._backend.known([record.id for record in new])
                    new = [record for record in new if record.id not in known]
                    self._insert(new, late)
            return len(new)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            with self._backend.transaction():
                yield
        except BaseException:
            # Numbers that were given in a transaction that is undone are nobody's.
            self._names, self._series = Names(self._number_of), {}
            raise

    def check(self) -> None:
        """Raise where it does not answer; it is migrated by that, where it is new or old."""
        with self._lock, self._backend.transaction():
            pass

    def retain(self, cutoffs: Cutoffs) -> bool:
        """Drop a part of what is older than these; True where there may be more to drop."""
        more = False
        for table, before in (
            ("operations", cutoffs.operations),
            ("attempts", cutoffs.operations),
            ("contents", cutoffs.contents),
        ):
            if before is not None:
                with self._lock, self._backend.transaction():
                    more |= self._backend.forget_operations(table, before)
        for grain, before in (("minute", cutoffs.minutes), ("hour", cutoffs.hours)):
            if before is not None:
                with self._lock, self._backend.transaction():
                    more |= self._backend.forget_rollups(grain, before)
        return more

    def close(self) -> None:
        """Close the connection; it is opened anew when it is asked again."""
        with self._lock:
            self._backend.close()

    def abandon(self) -> None:
        """Let go, in a forked child, of a connection that is the parent's."""
        self._lock = threading.Lock()
        self._backend.abandon()

    def _insert(self, records: Sequence[OperationRecord], late: Sequence[LateAttempt]) -> None:
        operations: list[Row] = []
        attempts: list[Row] = []
        contents: list[Row] = []
        rollups = Rollups()
        names = self._names
        if len(names) > MOST_NAMES:
            names.clear()
        for record in records:
            series = self._series_of(record)
            operations.append(operation_row(record, series, names))
            if record.attempts:
                attempts += attempt_rows(record, names)
            if record.request is not None or record.answer is not None:
                contents.append(content_row(record))
            rollups.add(series, record)
        attempts += [self._late_row(one) for one in late]
        for table, rows in (("operations", operations), ("attempts", attempts), ("contents", contents)):
            if rows:
                self._backend.insert(table, rows)
        if operations:
            self._add_up(rollups)

    def _late_row(self, late: LateAttempt) -> Row:
        one = late.attempt
        names = self._names
        where = (names[one.deployment], names[one.provider])
        return (late.operation, late.number, *where, one.began, one.lasted, names[one.error])

    def _add_up(self, rollups: Rollups) -> None:
        for grain, by_key in rollups.by_grain().items():
            known = self._backend.sketches(grain, list(by_key))
            rows = [rollup.row(key, known.get(key, (None, None))) for key, rollup in by_key.items()]
            self._backend.add_up(grain, rows)

    def _series_of(self, record: OperationRecord) -> int:
        key = series_key(record, self._names)
        number = self._series.get(key)
        if number is None:
            if len(self._series) >= MOST_NAMES:
                self._series.clear()
            number = self._series[key] = self._backend.series(key)
        return number
