"""What a store of records asks of a database: a few statements, in that database's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gatewright.storage.sql.address import address_of
from gatewright.storage.sql.fields import Columns
from gatewright.storage.sql.rows import Row

__all__ = ["Backend", "Duplicate", "backend_for"]

Key = tuple[int, int]
Sketches = tuple[bytes | None, bytes | None]


class Duplicate(Exception):
    """An operation that is to be added is stored already."""


class Backend(Protocol):
    """One connection that writes; everything but `transaction` is called within one."""

    def transaction(self) -> AbstractContextManager[None]:
        """Begin, opening and migrating the database where that is not done; commit, or roll back on an error.

        Of all who write to the database one is in here at a time. `StoreUnavailable` where it does not
        answer; a value that it cannot take is any other error.
        """
        ...

    def known(self, ids: Sequence[bytes]) -> set[bytes]:
        """Give which of these operations are stored."""
        ...

    def name(self, text: str) -> int:
        """Give a name's number, a new one where it has none."""
        ...

    def series(self, key: Sequence[int]) -> int:
        """Give the number of a series, a new one where it has none."""
        ...

    def insert(self, table: str, columns: Columns) -> None:
        """Add rows, by columns; `Duplicate` where one of `operations` is there, others that are there stay."""
        ...

    def sketches(self, grain: str, keys: Sequence[Key]) -> Mapping[Key, Sketches]:
        """Give the sketches of those rollups that are stored."""
        ...

    def add_up(self, grain: str, rows: Sequence[Row]) -> None:
        """Add the sums of rollups to those that are stored, and put their sketches in place of those."""
        ...

    def forget_operations(self, table: str, before: int) -> bool:
        """Drop a part of what began before a second since 1970; True where there may be more to drop."""
        ...

    def forget_rollups(self, grain: str, before: int) -> bool:
        """Drop a part of the rollups that start before a second since 1970; True where there may be more to drop."""
        ...

    def close(self) -> None:
        """Close the connection; it is opened anew when it is used again."""
        ...

    def abandon(self) -> None:
        """Let go of a connection that is another process's."""
        ...


def backend_for(where: str | Path) -> Backend:
    """Give the backend of a SQLite file or a PostgreSQL URL; nothing is opened yet."""
    address = address_of(where)
    if isinstance(address, Path):
        from gatewright.storage.sql.sqlite import SqliteBackend

        return SqliteBackend(address)
    from gatewright.storage.sql.postgresql import PostgresqlBackend

    return PostgresqlBackend(address)
