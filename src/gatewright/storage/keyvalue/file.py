"""Values in an SQLite file: they survive restarts, and processes on one machine share them."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gatewright.errors import ConfigurationError
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue.protocol import Item, Matches
from gatewright.storage.keyvalue.sqlite_worker import SqliteWorker

__all__ = ["FileStore"]

log = logging.getLogger("gatewright.cache")

READ_PATIENCE = 0.1
WRITE_PATIENCE = 5.0
MATCH_PATIENCE = 60.0
SWEEP_SECONDS = 30.0
ROWS_AT_ONCE = 500
USED_SECONDS = 60.0
"""How exactly it is known when a value was last used."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    key BLOB PRIMARY KEY, data BLOB NOT NULL, stored_at REAL NOT NULL, fresh_until REAL NOT NULL,
    expires_at REAL NOT NULL, used_at REAL NOT NULL, size INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_expires ON kept (expires_at);
CREATE INDEX IF NOT EXISTS kept_used ON kept (used_at, size);
"""
_PUT = "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?, ?)"
_OVERHEAD_BYTES = 128


class FileStore:
    """One thread reads and one writes, so that a large write makes no reader wait; readers never wait for writers.

    It is bounded by `max_entries` and `max_bytes`: beyond them goes what was not used for the longest. Expired rows are
    swept out in small deletes. A file that is damaged is put aside, and begun anew.
    """

    name = "file"

    def __init__(
        self,
        path: str | Path,
        max_entries: int = 100_000,
        max_bytes: int = 256 * 1024 * 1024,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path).expanduser()
        self._max = (max_entries, max_bytes)
        self._now = now
        self._held = (0, 0)
        self._swept_at = 0.0
        self._used: dict[bytes, float] = {}
        self._reader = SqliteWorker(self._read_only)
        self._writer = SqliteWorker(self._written, idle=self._sweep, idle_seconds=SWEEP_SECONDS)
        self._prepare()

    def __repr__(self) -> str:
        return f"<FileStore {self.path}>"

    async def get(self, keys: Sequence[str]) -> list[Item | None]:
        """Give the item of each key."""
        names = [_name(key) for key in keys]
        return await self._reader.ask(lambda db: [self._read(db, name) for name in names], READ_PATIENCE)

    async def set(self, items: Mapping[str, Item]) -> None:
        """Keep items."""
        now = self._now()
        rows = [_row(_name(key), item, now) for key, item in items.items()]

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany(_PUT, rows)
            self._held = (self._held[0] + len(rows), self._held[1] + sum(row[-1] for row in rows))
            self._sweep_if_due(db)

        await self._writer.ask(write, WRITE_PATIENCE)

    async def add(self, key: str, item: Item) -> bool:
        """Keep an item where none is."""
        now = self._now()
        row = _row(_name(key), item, now)

        def write(db: sqlite3.Connection) -> bool:
            with db:
                db.execute("DELETE FROM kept WHERE key = ? AND expires_at <= ?", (row[0], now))
                return db.execute(_PUT.replace("REPLACE", "IGNORE"), row).rowcount > 0

        return await self._writer.ask(write, WRITE_PATIENCE)

    async def delete(self, keys: Sequence[str]) -> int:
        """Let go of keys."""
        names = [(_name(key), self._now()) for key in keys]
        return await self._writer.ask(lambda db: _deleted(db, names), WRITE_PATIENCE)

    async def delete_equal(self, key: str, data: bytes) -> bool:
        """Let go of a key only if its value is `data`."""

        def write(db: sqlite3.Connection) -> bool:
            with db:
                return db.execute("DELETE FROM kept WHERE key = ? AND data = ?", (_name(key), data)).rowcount > 0

        return await self._writer.ask(write, WRITE_PATIENCE)

    async def delete_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of all keys that begin with `prefix` and match."""
        return await self._writer.ask(lambda db: self._delete_matching(db, _name(prefix), matches), MATCH_PATIENCE)

    async def check(self) -> None:
        """Raise where it cannot be read."""
        await self._reader.ask(lambda db: db.execute("SELECT 1 FROM kept LIMIT 1").fetchone(), READ_PATIENCE)

    async def aclose(self) -> None:
        """Wait until what was given to it is written; it is bound to no loop."""
        if self._writer.lives:
            with contextlib.suppress(StoreUnavailable):
                await self._writer.ask(self._flush_used, WRITE_PATIENCE)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        self._reader.close()

    def _prepare(self) -> None:
        """Make the file, or say at once why there cannot be one there."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # for its owner only
            try:
                self._written().close()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._put_aside(error)
                self._written().close()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"cache.path: {self.path} cannot be used: {error}", param="cache.path") from error

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{int(self._now())}")
        self.path.rename(aside)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        log.warning("the cache's file %s is damaged (%s): it is kept as %s, and begun anew", self.path, error, aside)

    def _read_only(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.05, check_same_thread=False
        )

    def _written(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=2.0, check_same_thread=False)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            # A cache may lose its last moments in a power cut; in a crash of the process it loses nothing.
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _read(self, db: sqlite3.Connection, name: bytes) -> Item | None:
        found = db.execute(
            "SELECT data, stored_at, fresh_until, expires_at, used_at FROM kept WHERE key = ?", (name,)
        ).fetchone()
        now = self._now()
        if found is None or found[3] <= now:
            return None
        if now - found[4] > USED_SECONDS:
            self._used[name] = now
        return Item(*found[:4])

    def _delete_matching(self, db: sqlite3.Connection, prefix: bytes, matches: Matches) -> int:
        gone, last, now = 0, prefix, self._now()
        after = "key >= ?"
        while True:
            found = db.execute(
                f"SELECT key FROM kept WHERE {after} ORDER BY key LIMIT {ROWS_AT_ONCE}", (last,)
            ).fetchall()
            names: list[bytes] = [name for (name,) in found if name.startswith(prefix)]
            gone += _deleted(db, [(name, now) for name in names if matches(name.decode("utf-8", "surrogatepass"))])
            if len(names) < ROWS_AT_ONCE:
                return gone
            last, after = names[-1], "key > ?"

    def _sweep_if_due(self, db: sqlite3.Connection) -> None:
        too_many = self._held[0] > self._max[0] or self._held[1] > self._max[1]
        if too_many or self._now() - self._swept_at > SWEEP_SECONDS:
            self._sweep(db)

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Let go of some of what expired and, beyond the bounds, of what was not used for the longest."""
        now = self._swept_at = self._now()
        self._flush_used(db)
        with db:
            db.execute(
                "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept WHERE expires_at <= ? LIMIT ?)",
                (now, ROWS_AT_ONCE),
            )
        self._held = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM kept").fetchone()
        while self._held[0] > self._max[0] or self._held[1] > self._max[1]:
            self._make_room(db)
        db.execute("PRAGMA incremental_vacuum(200)").fetchall()

    def _make_room(self, db: sqlite3.Connection) -> None:
        entries, size = self._held[0] - self._max[0], self._held[1] - self._max[1]
        gone: list[tuple[int, int]] = []
        for row in db.execute("SELECT rowid, size FROM kept ORDER BY used_at LIMIT ?", (ROWS_AT_ONCE,)):
            if entries <= 0 and size <= 0:
                break
            gone.append(row)
            entries, size = entries - 1, size - row[1]
        with db:
            db.executemany("DELETE FROM kept WHERE rowid = ?", [(rowid,) for rowid, _ in gone])
        self._held = (self._held[0] - len(gone), self._held[1] - sum(size for _, size in gone))

    def _flush_used(self, db: sqlite3.Connection) -> None:
        used, self._used = self._used, {}
        if used:
            with db:
                db.executemany("UPDATE kept SET used_at = ? WHERE key = ?", [(at, name) for name, at in used.items()])


def _name(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _row(name: bytes, item: Item, now: float) -> tuple[bytes, bytes, float, float, float, float, int]:
    size = len(name) + len(item.data) + _OVERHEAD_BYTES
    return name, item.data, item.stored_at, item.fresh_until, item.expires_at, now, size


def _deleted(db: sqlite3.Connection, names: Sequence[tuple[bytes, float]]) -> int:
    """Delete rows, and say how many of them had not expired."""
    with db:
        live = sum(
            db.execute("SELECT 1 FROM kept WHERE key = ? AND expires_at > ?", one).fetchone() is not None
            for one in names
        )
        db.executemany("DELETE FROM kept WHERE key = ?", [name[:1] for name in names])
    return live
