"""A thread that owns one SQLite connection: whoever asks it waits for so long, and no longer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from gatewright.storage.errors import StoreUnavailable

__all__ = ["SqliteWorker"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
PAUSE = 1.0
"""Seconds for which nobody is made to wait again, after someone waited in vain."""


class SqliteWorker:
    """Runs work on its connection, in the order of asking; `open_` makes the connection when it is first needed.

    `idle`, if there is one, runs on the connection whenever nothing was asked for `idle_seconds`.
    """

    def __init__(
        self, open_: Callable[[], sqlite3.Connection], *, idle: Work | None = None, idle_seconds: float = 30.0
    ) -> None:
        self._open = open_
        self._idle = idle
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[Work, concurrent.futures.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._late: concurrent.futures.Future[Any] | None = None
        self._skips_until = 0.0

    async def ask(self, work: Callable[[sqlite3.Connection], T], patience: float) -> T:
        """Give what `work` gives; `StoreUnavailable` where that takes longer than `patience`, or fails."""
        if time.monotonic() < self._skips_until or (self._late is not None and not self._late.done()):
            raise StoreUnavailable("the cache's file does not answer at present")
        future = self._submitted(work)
        done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=patience)
        if not done:
            self._late, self._skips_until = future, time.monotonic() + PAUSE
            raise StoreUnavailable(f"the cache's file did not answer within {patience * 1000:.0f} ms")
        try:
            return done.pop().result()
        except (sqlite3.Error, OSError) as error:
            self._skips_until = time.monotonic() + PAUSE
            raise StoreUnavailable(f"the cache's file: {type(error).__name__}: {error}") from error

    @property
    def lives(self) -> bool:
        """Whether it has a connection that is to be closed."""
        return self._thread is not None and self._pid == os.getpid()

    def close(self, timeout: float = 5.0) -> None:
        """Finish what was asked, and close the connection; it is opened anew when it is asked again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._pid != os.getpid():
                return
            self._jobs.put(None)
        thread.join(timeout)

    def _submitted(self, work: Work) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        if self._pid != os.getpid():
            # A forked child has neither the thread nor a right to the connection, and nobody there gives back the lock.
            self._lock, self._thread, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._thread is None:
                self._jobs = queue.SimpleQueue()
                self._thread = threading.Thread(
                    target=self._live, args=(self._jobs,), name="gatewright-cache-file", daemon=True
                )
                self._thread.start()
            self._jobs.put((work, future))
        return future

    def _live(self, jobs: queue.SimpleQueue[tuple[Work, concurrent.futures.Future[Any]] | None]) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            try:
                job = jobs.get(timeout=self._idle_seconds if self._idle is not None else None)
            except queue.Empty:
                if connection is not None and self._idle is not None:
                    with contextlib.suppress(sqlite3.Error):
                        self._idle(connection)
                continue
            if job is None:
                break
            work, future = job
            try:
                connection = connection or self._open()
                future.set_result(work(connection))
            except Exception as error:  # noqa: BLE001 - it is raised to whoever asked
                future.set_exception(error)
        if connection is not None:
            connection.close()
