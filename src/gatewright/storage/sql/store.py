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
from gatewright.storage.sql.fields import Columns, Series, fields_of, series_of
from gatewright.storage.sql.names import Numbers
from gatewright.storage.sql.rollups import by_grain, minutes_of
from gatewright.storage.sql.rows import Names, attempt_columns, content_columns, operation_columns
from gatewright.types.records import LateAttempt, OperationRecord

__all__ = ["Cutoffs", "RecordStore"]

MOST_NUMBERS = 200_000
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
        self._forget_numbers()

    @functools.cached_property
    def _backend(self) -> Backend:
        # Its library is imported when there is something to store, and not when a gateway is made.
        return backend_for(self._where)

    def _forget_numbers(self) -> None:
        self._names: Names = Numbers(self._number_of_name)
        self._series: Numbers[Series, int] = Numbers(self._number_of_series)

    def _number_of_name(self, name: str | None) -> int | None:
        # A NUL ends a text in PostgreSQL and is no part of any name.
        return None if name is None else self._backend.name(name.replace("\0", ""))

    def _number_of_series(self, series: Series) -> int:
        *names, type_, status = series
        return self._backend.series((*[self._names[name] or 0 for name in names], type_, status))

    def write(self, records: Sequence[OperationRecord], late: Sequence[LateAttempt] = ()) -> int:
        """Store what is not stored yet, in one transaction; give how many operations that were."""
        new = records
        if len({record.id for record in records}) < len(records):
            new = [*{record.id: record for record in records}.values()]
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
            self._forget_numbers()
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
        if len(self._names) + len(self._series) > MOST_NUMBERS:
            self._forget_numbers()
        if records:
            self._insert_operations(fields_of(records))
        if attempts := attempt_columns(records, late, self._names):
            self._backend.insert("attempts", attempts)
        if contents := content_columns(records):
            self._backend.insert("contents", contents)

    def _insert_operations(self, fields: Columns) -> None:
        series = [*map(self._series.__getitem__, series_of(fields))]
        self._backend.insert("operations", operation_columns(fields, series, self._names))
        for grain, rollups in by_grain(minutes_of(fields, series)).items():
            known = self._backend.sketches(grain, [*rollups])
            rows = [rollup.row(key, known.get(key, (None, None))) for key, rollup in rollups.items()]
            self._backend.add_up(grain, rows)
