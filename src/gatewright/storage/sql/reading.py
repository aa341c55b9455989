"""The side of the store that is read: never in the way of those who write, and one state of it throughout."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

from gatewright.errors import MissingExtra
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql.address import address_of
from gatewright.storage.sql.revisions import HEAD

__all__ = ["RecordReader", "Snapshot"]

BUSY_SECONDS = 5
_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA cache_size = -65536", "PRAGMA mmap_size = 1073741824")
Values = tuple[Any, ...]


class Snapshot(Protocol):
    """One state of the database; statements have `?` where their values go."""

    def rows(self, statement: str, values: Values = ()) -> list[Values]:
        """Give all rows."""
        ...

    def stream(self, statement: str, values: Values = ()) -> Iterator[Values]:
        """Give the rows as they are read, a part of them in memory at a time."""
        ...


class RecordReader:
    """Reads a SQLite file or a PostgreSQL database; several threads at once, each with a connection of its own.

    A database that is not there yet reads as an empty one; one of an older program is migrated first.
    `StoreUnavailable` says that it does not answer.
    """

    def __init__(self, where: str | Path) -> None:
        self._where = address_of(where)
        self._idle: list[Any] = []
        self._process = os.getpid()

    @contextlib.contextmanager
    def snapshot(self) -> Generator[Snapshot | None]:
        """Give one state of the database; None where there is no database yet."""
        if isinstance(self._where, Path) and not self._where.exists():
            yield None
            return
        connection = self._taken()
        try:
            with connection.snapshot() as snapshot:
                yield snapshot
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def has(self, operation: bytes) -> bool:
        """Say whether an operation is stored, by its id."""
        with self.snapshot() as snapshot:
            return snapshot is not None and bool(snapshot.rows("SELECT 1 FROM operations WHERE id = ?", (operation,)))

    def close(self) -> None:
        """Close the connections that nobody reads from."""
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> Any:
        if self._process != os.getpid():
            # A forked child leaves its parent's connections alone, and keeps them from being closed.
            _of_the_parent.extend(self._idle)
            self._idle, self._process = [], os.getpid()
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        make = _Sqlite if isinstance(self._where, Path) else _Postgresql
        connection = make(self._where)  # type: ignore[arg-type]
        if connection.revision() != HEAD:
            connection.close()
            from gatewright.storage.sql.database import Database

            database = Database(self._where)
            database.check()
            database.close()
            connection = make(self._where)  # type: ignore[arg-type]
        return connection


class _Sqlite:
    """A connection to a SQLite file, which WAL lets read while others write."""

    def __init__(self, path: Path) -> None:
        with _sqlites_errors():
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            for pragma in _PRAGMAS:
                self._db.execute(pragma)

    def revision(self) -> str | None:
        try:
            return self._db.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        except sqlite3.OperationalError:
            return None

    @contextlib.contextmanager
    def snapshot(self) -> Generator[Snapshot]:
        with _sqlites_errors():
            self._db.execute("BEGIN")
            try:
                yield self
            finally:
                self._db.execute("ROLLBACK")

    def rows(self, statement: str, values: Values = ()) -> list[Values]:
        return self._db.execute(statement, values).fetchall()

    def stream(self, statement: str, values: Values = ()) -> Iterator[Values]:
        return iter(self._db.execute(statement, values))

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def __del__(self) -> None:
        # Of a reader that was let go, not closed: from Python 3.13 on it is warned of a connection that nobody closed.
        with contextlib.suppress(AttributeError):  # it could not be opened
            self.close()


class _Postgresql:
    """A connection to PostgreSQL."""

    def __init__(self, url: str) -> None:
        from gatewright.storage.sql.postgresql import CONNECTION

        with _postgresqls_errors() as psycopg:
            self._db: Any = psycopg.connect(
                url, autocommit=True, options="-c statement_timeout=60s -c lock_timeout=5s", **CONNECTION
            )
            self._db.read_only = True
            self._db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    def revision(self) -> str | None:
        with _postgresqls_errors():
            row = self._db.execute("SELECT to_regclass('alembic_version')").fetchone()
            if row[0] is None:
                return None
            return (self._db.execute("SELECT version_num FROM alembic_version").fetchone() or (None,))[0]

    @contextlib.contextmanager
    def snapshot(self) -> Generator[Snapshot]:
        with _postgresqls_errors(), self._db.transaction():
            yield self

    def rows(self, statement: str, values: Values = ()) -> list[Values]:
        return self._db.execute(_psycopgs(statement), values).fetchall()

    def stream(self, statement: str, values: Values = ()) -> Iterator[Values]:
        with self._db.cursor(name="gatewright") as cursor:
            cursor.itersize = 5000
            cursor.execute(_psycopgs(statement), values)
            yield from cursor

    def close(self) -> None:
        self._db.close()


def _psycopgs(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


@contextlib.contextmanager
def _sqlites_errors() -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"the records' database: {error}") from error


@contextlib.contextmanager
def _postgresqls_errors() -> Generator[Any]:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("database_url: PostgreSQL", "postgres") from None
    try:
        yield psycopg
    except psycopg.Error as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreUnavailable(f"the records' database: {said}") from error


_of_the_parent: list[object] = []
