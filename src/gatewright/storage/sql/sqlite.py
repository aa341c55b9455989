"""Records in a SQLite file, by the standard library alone: SQLAlchemy is imported only where there is to migrate."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql.backend import Duplicate
from gatewright.storage.sql.fields import Columns
from gatewright.storage.sql.revisions import HEAD
from gatewright.storage.sql.rows import COLUMNS, ROLLUP_COLUMNS, Row

__all__ = ["BUSY_SECONDS", "SqliteBackend", "prepare"]

BUSY_SECONDS = 10
"""How long a write waits for another process's to end."""
_PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # before the first table: what retention frees goes back to the disk
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
)
CHUNK = 5000
"""Rows that are deleted in one transaction: some milliseconds."""
PAGES = 2000
"""Pages that are given back to the disk in one transaction."""
_AT_ONCE = 500  # parameters of one statement

Key = tuple[int, int]


# With each statement that runs, the writer's thread lets go of the interpreter, and has to get it back from the calls:
# many rows a statement disturb them less.
_TOGETHER = 100
# Of None, and of bytes, sqlite3 looks for an adapter each time it binds one, which takes longer than all else;
# not of a bytearray, nor of a number. SQLite stores NULL for what is not a number.
_NULL = math.nan


class _Insert:
    """How rows are inserted into these columns of a table: one by one, and many at once."""

    def __init__(self, into: str, columns: Sequence[str], otherwise: str = "") -> None:
        quoted = ", ".join(f'"{column}"' for column in columns)
        row = _marks(len(columns))
        self._width = len(columns)
        self._one = f"{into} ({quoted}) VALUES {row} {otherwise}"
        self._together = f"{into} ({quoted}) VALUES {', '.join([row] * _TOGETHER)} {otherwise}"

    def run(self, db: sqlite3.Connection, rows: Iterator[Row], count: int) -> int:
        """Give how many of so many rows were inserted."""
        values = chain.from_iterable(rows)
        inserted = 0
        for _ in range(count // _TOGETHER):
            inserted += db.execute(self._together, [*islice(values, self._width * _TOGETHER)]).rowcount
        return inserted + db.executemany(self._one, rows).rowcount


def _marks(count: int) -> str:
    return f"({', '.join('?' * count)})"


@lru_cache(maxsize=64)
def _insert(table: str, columns: Sequence[str]) -> _Insert:
    return _Insert(f"INSERT OR IGNORE INTO {table}", columns)


@lru_cache
def _add_up(grain: str) -> _Insert:
    table = f"rollups_{grain}"
    added = [f"{column} = {table}.{column} + excluded.{column}" for column in ROLLUP_COLUMNS[2:-2]]
    placed = [f"{column} = excluded.{column}" for column in ROLLUP_COLUMNS[-2:]]
    otherwise = f"ON CONFLICT (series, start) DO UPDATE SET {', '.join(added + placed)}"
    return _Insert(f"INSERT INTO {table}", ROLLUP_COLUMNS, otherwise)


def prepare(connection: sqlite3.Connection) -> None:
    """Set a new connection up."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except sqlite3.OperationalError as error:
            # Of several that make a file WAL at once SQLite tells all but one that it is locked, without waiting.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class SqliteBackend:
    """The one connection that writes; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Hold the file's only write lock."""
        try:
            if self._connection is None:
                self._connection = self._open()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self.close()
            raise StoreUnavailable(f"the records' database: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._revision() != HEAD:
            from gatewright.storage.sql.database import Database

            database = Database(self._path)
            database.check()
            database.close()
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        prepare(connection)
        return connection

    def _revision(self) -> str | None:
        if not self._path.exists():
            return None
        with contextlib.closing(self._connected()) as connection, contextlib.suppress(sqlite3.OperationalError):
            return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        return None

    def known(self, ids: Sequence[bytes]) -> set[bytes]:
        """Look them up."""
        found: set[bytes] = set()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            select = f"SELECT id FROM operations WHERE id IN {_marks(len(some))}"
            found.update(row[0] for row in self._db.execute(select, some))
        return found

    def name(self, text: str) -> int:
        """Look it up, or add it."""
        self._db.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (text,))
        return self._db.execute("SELECT id FROM names WHERE name = ?", (text,)).fetchone()[0]

    def series(self, key: Sequence[int]) -> int:
        """Look it up, or add it."""
        columns = ["tenant", "agent", "model", "provider", "type", "status"]
        self._db.execute(f"INSERT OR IGNORE INTO series ({', '.join(columns)}) VALUES (?, ?, ?, ?, ?, ?)", key)
        where = " AND ".join(f"{column} = ?" for column in columns)
        return self._db.execute(f"SELECT id FROM series WHERE {where}", key).fetchone()[0]

    def insert(self, table: str, columns: Columns) -> None:
        """Add them."""
        ids, *others = columns.values()
        values = ([*map(bytearray, ids)], *[[_NULL if value is None else value for value in one] for one in others])
        count = len(ids)
        inserted = _insert(table, tuple(columns)).run(self._db, zip(*values, strict=True), count)
        if table == "operations" and inserted != count:
            raise Duplicate

    def sketches(self, grain: str, keys: Sequence[Key]) -> Mapping[Key, tuple[bytes | None, bytes | None]]:
        """Look them up."""
        found: dict[Key, tuple[bytes | None, bytes | None]] = {}
        for start in range(0, len(keys), _TOGETHER):
            some = keys[start : start + _TOGETHER]
            select = (
                f"WITH wanted (series, start) AS (VALUES {', '.join(['(?, ?)'] * len(some))}) "
                "SELECT r.series, r.start, latencies, first_tokens "
                f"FROM wanted w CROSS JOIN rollups_{grain} r ON r.series = w.series AND r.start = w.start"
            )
            rows = self._db.execute(select, [*chain.from_iterable(some)]).fetchall()
            found |= {(series, start): (latencies, first) for series, start, latencies, first in rows}
        return found

    def add_up(self, grain: str, rows: Sequence[Row]) -> None:
        """Insert or add."""
        _add_up(grain).run(self._db, iter(rows), len(rows))

    def forget_operations(self, table: str, before: int) -> bool:
        """Delete the oldest rows, which lie together."""
        id_ = COLUMNS[table][0]
        oldest = f"SELECT {id_} FROM {table} WHERE {id_} < ? ORDER BY {id_} LIMIT {CHUNK}"
        bound = max(0, before).to_bytes(4, "big")
        return self._deleted(f"DELETE FROM {table} WHERE {id_} IN ({oldest})", bound)

    def forget_rollups(self, grain: str, before: int) -> bool:
        """Delete from the series that have old ones."""
        table = f"rollups_{grain}"
        old = f"SELECT series, start FROM {table} WHERE start < ? LIMIT {CHUNK}"
        return self._deleted(f"DELETE FROM {table} WHERE (series, start) IN ({old})", before)

    def _deleted(self, delete: str, bound: bytes | int) -> bool:
        deleted = self._db.execute(delete, (bound,)).rowcount
        if deleted:
            self._db.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        return deleted >= CHUNK

    def close(self) -> None:
        """Close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def abandon(self) -> None:
        """Keep what is the parent's from being closed here: that would drop the parent's locks."""
        if self._connection is not None:
            _of_the_parent.append(self._connection)
        self._connection = None


_of_the_parent: list[object] = []
