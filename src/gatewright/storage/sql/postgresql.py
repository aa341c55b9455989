"""Records in PostgreSQL: what comes is copied in, and what is old goes by whole partitions."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatewright.errors import MissingExtra
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql.backend import Duplicate
from gatewright.storage.sql.fields import Columns
from gatewright.storage.sql.partitions import days_of, partition, upper_bound
from gatewright.storage.sql.revisions import HEAD
from gatewright.storage.sql.rows import COLUMNS, ROLLUP_COLUMNS, Row

if TYPE_CHECKING:
    import psycopg

__all__ = ["CONNECTION", "PostgresqlBackend"]

CONNECTION = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # milliseconds without a sign of life after which a connection counts as lost
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "application_name": "gatewright",
}
# A writer that hangs is not to keep the others from writing for ever, nor to wait for ever itself.
_SETTINGS = "-c lock_timeout=20s -c statement_timeout=60s -c idle_in_transaction_session_timeout=20s"
_LOCK = 0x7772_6974_6572  # "writer": of all gateways that write to one database one does at a time
Key = tuple[int, int]


class PostgresqlBackend:
    """The one connection of this process that writes; used by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self._partitions: set[str] = set()

    @property
    def _db(self) -> psycopg.Connection[Any]:
        assert self._connection is not None
        return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Hold the lock of those who write."""
        psycopg = _psycopg()
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                yield
        except BaseException as error:
            self._partitions = set()  # those that were made in this transaction are not there
            if isinstance(error, psycopg.errors.UniqueViolation):
                raise Duplicate from error
            if not isinstance(error, psycopg.Error) or isinstance(error, psycopg.DataError):
                raise  # a value that it does not take: it answers, and takes others
            self.close()
            raise StoreUnavailable(f"the records' database: {str(error).strip().splitlines()[0]}") from error

    def _open(self) -> psycopg.Connection[Any]:
        connection = self._connected()
        if _revision(connection) != HEAD:
            connection.close()
            from gatewright.storage.sql.database import Database

            database = Database(self._url)
            database.check()
            database.close()
            connection = self._connected()
        for grain in ("minute", "hour", "day"):
            connection.execute(_temporary(f"incoming_{grain}", f"rollups_{grain}"))
        for table in ("attempts", "contents"):
            connection.execute(_temporary(f"incoming_{table}", table))
        self._partitions = set()
        return connection

    def _connected(self) -> psycopg.Connection[Any]:
        return _psycopg().connect(self._url, autocommit=True, options=_SETTINGS, **CONNECTION)

    def known(self, ids: Sequence[bytes]) -> set[bytes]:
        """Look them up."""
        rows = self._run("SELECT id FROM operations WHERE id = ANY(%s)", (list(ids),))
        return {bytes(row[0]) for row in rows}

    def name(self, text: str) -> int:
        """Look it up, or add it."""
        select = "SELECT id FROM names WHERE name = %s"
        row = self._run(select, (text,)).fetchone()
        if row is None:
            row = self._run("INSERT INTO names (name) VALUES (%s) RETURNING id", (text,)).fetchone()
        assert row is not None
        return row[0]

    def series(self, key: Sequence[int]) -> int:
        """Look it up, or add it."""
        columns = "tenant, agent, model, provider, type, status"
        select = f"SELECT id FROM series WHERE ({columns}) = (%s, %s, %s, %s, %s, %s)"
        row = self._run(select, key).fetchone()
        if row is None:
            insert = f"INSERT INTO series ({columns}) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id"
            row = self._run(insert, key).fetchone()
        assert row is not None
        return row[0]

    def insert(self, table: str, columns: Columns) -> None:
        """Copy them in, into partitions that are made for them."""
        for day in days_of(columns[COLUMNS[table][0]]):
            self._ensure(table, day)
        rows = zip(*columns.values(), strict=True)
        if table == "operations":
            self._copy(table, columns, rows)
        else:
            self._copy(f"incoming_{table}", columns, rows)
            self._run(f"INSERT INTO {table} SELECT * FROM incoming_{table} ON CONFLICT DO NOTHING")
            self._run(f"TRUNCATE incoming_{table}")

    def sketches(self, grain: str, keys: Sequence[Key]) -> Mapping[Key, tuple[bytes | None, bytes | None]]:
        """Look them up."""
        select = (
            f"SELECT r.series, r.start, r.latencies, r.first_tokens FROM rollups_{grain} r "
            "JOIN unnest(%s::int[], %s::bigint[]) AS k (series, start) ON r.series = k.series AND r.start = k.start"
        )
        rows = self._run(select, ([key[0] for key in keys], [key[1] for key in keys]))
        return {(row[0], row[1]): (_bytes(row[2]), _bytes(row[3])) for row in rows}

    def add_up(self, grain: str, rows: Sequence[Row]) -> None:
        """Copy them aside, and insert or add them from there."""
        if grain != "day":
            for start in {row[1] for row in rows}:
                self._ensure(f"rollups_{grain}", start)
        self._copy(f"incoming_{grain}", ROLLUP_COLUMNS, rows)
        table = f"rollups_{grain}"
        added = [f"{column} = {table}.{column} + excluded.{column}" for column in ROLLUP_COLUMNS[2:-2]]
        placed = [f"{column} = excluded.{column}" for column in ROLLUP_COLUMNS[-2:]]
        self._run(
            f"INSERT INTO {table} SELECT * FROM incoming_{grain} "
            f"ON CONFLICT (series, start) DO UPDATE SET {', '.join(added + placed)}"
        )

    def forget_operations(self, table: str, before: int) -> bool:
        """Drop the partitions that end before."""
        return self._drop(table, before)

    def forget_rollups(self, grain: str, before: int) -> bool:
        """Drop the partitions that end before; rollups of days have none and are kept."""
        return grain != "day" and self._drop(f"rollups_{grain}", before)

    def close(self) -> None:
        """Close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """Keep what is the parent's from being closed here: that would end the parent's session."""
        if self._connection is not None:
            _of_the_parent.append(self._connection)
        self._connection = None

    def _run(self, statement: str, values: Sequence[Any] | None = None) -> psycopg.Cursor[Any]:
        return self._db.execute(statement.encode(), values)

    def _copy(self, table: str, columns: Iterable[str], rows: Iterable[Row]) -> None:
        quoted = ", ".join(f'"{column}"' for column in columns)
        with self._db.cursor() as cursor, cursor.copy(f"COPY {table} ({quoted}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def _ensure(self, table: str, second: int) -> None:
        """Make the partition for a second since 1970, where it is not there."""
        name, start, end = partition(table, second)
        if name not in self._partitions:
            self._run(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ({start}) TO ({end})")
            self._partitions.add(name)

    def _drop(self, table: str, before: int) -> bool:
        select = (
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass"
        )
        old = sorted(row[0] for row in self._run(select, (table,)) if upper_bound(table, row[0]) <= before)
        for name in old[:1]:
            self._run(f"DROP TABLE {name}")
            self._partitions.discard(name)
        return len(old) > 1


def _temporary(name: str, like: str) -> bytes:
    return f"CREATE TEMP TABLE {name} (LIKE {like}) ON COMMIT DELETE ROWS".encode()


def _revision(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if row is None or row[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else row[0]


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("database_url: PostgreSQL", "postgres") from None
    return psycopg


_of_the_parent: list[object] = []
