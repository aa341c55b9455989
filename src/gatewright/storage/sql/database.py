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
from gatewright.storage.sql.address import address_of
from gatewright.storage.sql.migrating import migrate
from gatewright.storage.sql.postgresql import CONNECTION
from gatewright.storage.sql.sqlite import BUSY_SECONDS, prepare

__all__ = ["Database"]

POOL_SECONDS = 5
"""How long one of ten connections to PostgreSQL is waited for."""


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
    address = address_of(where)
    if isinstance(address, Path):
        return sa.URL.create("sqlite", database=str(address))
    try:
        return sa.make_url(address).set(drivername="postgresql+psycopg")
    except exc.ArgumentError:
        raise ConfigurationError("database_url: it cannot be read as a URL", param="database_url") from None


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
        pool_timeout=POOL_SECONDS,
        connect_args=CONNECTION,
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    def connected(connection: sqlite3.Connection, _: object) -> None:
        # Transactions begin where `begun` says, not where the driver thinks they should.
        connection.isolation_level = None
        prepare(connection)

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
