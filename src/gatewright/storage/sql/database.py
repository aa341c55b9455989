"""One database of records, opened by URL."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from gatewright.errors import ConfigurationError, MissingExtra
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql.migrating import migrate

__all__ = ["Database"]

BUSY_SECONDS = 10
"""How long a write waits for another process's to end in SQLite."""
CONNECT_SECONDS = 5
SILENT_MILLISECONDS = 10_000
"""After so long without a sign of life a connection to PostgreSQL counts as lost."""


class Database:
    """SQLite in a file, or PostgreSQL; both have the schema's newest revision once anything is done with them.

    Safe to use from several threads. What cannot be reached, or fails as a whole, is a `StoreUnavailable`.
    """

    def __init__(self, where: str | Path) -> None:
        self._url = _url(where)
        self._engine: sa.Engine | None = None
        self._lock = threading.Lock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @property
    def engine(self) -> sa.Engine:
        """The engine, opened and migrated when it is first asked for."""
        with self._lock:
            if self._engine is None:
                self._engine = self._open()
            return self._engine

    @contextlib.contextmanager
    def writing(self) -> Generator[sa.Connection]:
        """Give a connection in a transaction that writes: it is committed at the end, or rolled back by an error."""
        with _told(), self.engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Generator[sa.Connection]:
        """Give a connection that sees one state of the database throughout, and holds up nobody who writes."""
        with _told(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def check(self) -> None:
        """Raise where it does not answer."""
        with self.reading() as connection:
            connection.execute(sa.text("SELECT 1"))

    def close(self) -> None:
        """Close its connections; it is opened again when it is asked again."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def forget(self) -> None:
        """Let go, in a forked child, of connections that are the parent's."""
        self._lock = threading.Lock()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose(close=False)

    def _open(self) -> sa.Engine:
        engine = _postgresql(self._url) if self.dialect == "postgresql" else _sqlite(self._url)
        try:
            with _told(), engine.connect().execution_options(writes=True) as connection, connection.begin():
                migrate(connection)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def __repr__(self) -> str:
        return f"<Database {self._url.render_as_string(hide_password=True)}>"


def _url(where: str | Path) -> sa.URL:
    """Read a path, or a URL; `ConfigurationError` names what is wrong with it and never its password."""
    if isinstance(where, Path):
        return sa.URL.create("sqlite", database=str(where))
    try:
        url = sa.make_url(where)
    except exc.ArgumentError:
        raise ConfigurationError(
            "database_url: expected postgresql://user:password@host/database", param="database_url"
        ) from None
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database:
        return url
    raise ConfigurationError(
        f"database_url: expected postgresql://… or sqlite:///path, got {url.drivername}://…", param="database_url"
    )


def _postgresql(url: sa.URL) -> sa.Engine:
    try:
        import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise MissingExtra("database_url: PostgreSQL", "postgres") from None
    return sa.create_engine(
        url,
        pool_size=2,
        max_overflow=8,
        pool_pre_ping=True,
        pool_timeout=CONNECT_SECONDS,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": SILENT_MILLISECONDS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "application_name": "gatewright",
        },
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    def connected(connection: sqlite3.Connection, _: object) -> None:
        # Transactions begin where `begun` says, not where the driver thinks they should.
        connection.isolation_level = None
        for pragma in (
            "auto_vacuum = INCREMENTAL",  # before the first table: what retention frees goes back to the disk
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "cache_size = -16384",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


@contextlib.contextmanager
def _told() -> Generator[None]:
    """Say `StoreUnavailable` for what the database itself fails with; a mistake in a statement stays what it is."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        raise StoreUnavailable(f"the records' database: {_cause(error)}") from error
    except exc.DatabaseError as error:
        if error.connection_invalidated or isinstance(error.orig, sqlite3.DatabaseError):
            raise StoreUnavailable(f"the records' database: {_cause(error)}") from error
        raise


def _cause(error: Any) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
