"""How feedback becomes durable: in the database, many in one transaction, or on the local disk until that is back."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from gatewright.errors import GatewayError
from gatewright.feedback.spool import Kept, Spool
from gatewright.feedback.types import Delivery, Feedback
from gatewright.storage.errors import StoreUnavailable

__all__ = ["Keeper"]

T = TypeVar("T")

log = logging.getLogger("gatewright.feedback")

TOGETHER = 200
"""So many are written in one transaction where they come at once."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0
"""Seconds between attempts at a database that is down."""
IDLE_SECONDS = 10.0
"""After so long without anything to do its thread ends."""

_Asked = tuple[Kept | Callable[[], Any], "Future[Any]"]


class _Store(Protocol):
    def add(self, given: Sequence[Kept]) -> None: ...


class Keeper:
    """Writes in a thread of its own, so that neither an event loop nor a database that is silent holds anyone up.

    Whoever waits longer than `patience` seconds has the feedback on the local disk instead; the id keeps it from being
    there twice when the database took it after all. `kept` is told what has reached the database.
    """

    def __init__(
        self,
        store: Callable[[], _Store],
        spool: Callable[[], Spool],
        patience: float,
        kept: Callable[[Sequence[Kept]], None],
    ) -> None:
        self._store = store
        self._spool = spool
        self._patience = patience
        self._kept = kept
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wait = 0.0
        self._down_until = 0.0
        self._spooled = threading.Event()
        self._unanswered: Future[Any] | None = None
        self.last_error: str | None = None

    def keep(self, feedback: Feedback, due: Sequence[Delivery]) -> None:
        """Return when it is durable; `StoreUnavailable` where neither the database nor the disk takes it."""
        if self._down():
            self._put_by(feedback, due)
            return
        asked = self._ask((feedback, due))
        try:
            asked.result(self._patience)
        except TimeoutError:
            self._silent(asked)
            self._put_by(feedback, due)

    async def keep_async(self, feedback: Feedback, due: Sequence[Delivery]) -> None:
        """Do the same, and let others run meanwhile."""
        if not self._down():
            asked = self._ask((feedback, due))
            told = asyncio.wrap_future(asked)
            if (await asyncio.wait((told,), timeout=self._patience))[0]:
                told.result()
                return
            self._silent(asked)
        await asyncio.to_thread(self._put_by, feedback, due)

    def ask(self, work: Callable[[], T]) -> T:
        """Do something else with the database there; `StoreUnavailable` where that does not answer in time."""
        if self._down():
            raise StoreUnavailable("the records' database: it did not answer a moment ago")
        asked: Future[T] = self._put(work)
        try:
            return asked.result(self._patience)
        except TimeoutError:
            raise self._silent(asked) from None

    def drain(self) -> None:
        """Move what waits on the disk into the database now; an error of that is told."""
        spool = self._spool()
        self._spooled.clear()
        try:
            spool.drain(self._write)
        finally:
            if spool.waiting():  # another process is at it, or nobody can
                self._spooled.set()

    def start(self) -> None:
        """Have what an earlier process left on the disk moved into the database soon."""
        if self._spool().waiting():
            with self._lock:
                self._spooled.set()
                self._run()

    @property
    def waiting(self) -> bool:
        """Whether anything is on the disk only."""
        return self._spool().waiting()

    def close(self, seconds: float) -> None:
        """End the thread when what it was asked for is done, waiting so long at most."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._asked.put(None)
            if thread is not threading.current_thread():  # a gateway may be collected in any thread
                thread.join(seconds)

    def forget(self) -> None:
        """Start afresh in a forked child: the thread and what it was asked for are the parent's."""
        self._lock = threading.Lock()
        self._asked = queue.SimpleQueue()
        self._thread = None

    def _ask(self, kept: Kept) -> Future[None]:
        return self._put(kept)

    def _put(self, what: Kept | Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            self._asked.put((what, future))
            self._run()
        return future

    def _run(self) -> None:
        """Have a thread that is there, with the lock held: it ends only where nothing was asked for."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._live, name="gatewright-feedback", daemon=True)
            self._thread.start()

    def _live(self) -> None:
        while True:
            first = self._next()
            if first is None:
                return
            asked = [first]
            while len(asked) < TOGETHER and not self._asked.empty():
                further = self._asked.get()
                if further is None:
                    self._asked.put(None)
                    break
                asked.append(further)
            self._write_asked([(what, future) for what, future in asked if not callable(what)])
            for what, future in asked:
                if callable(what):
                    _end(future, what)

    def _next(self) -> _Asked | None:
        """Give what is asked for next; meanwhile move what waits on the disk, as often as is seemly."""
        while True:
            waits = self._spooled.is_set()
            pause = max(FIRST_WAIT, self._down_until - time.monotonic()) if waits else IDLE_SECONDS
            try:
                return self._asked.get(timeout=pause)
            except queue.Empty:
                if waits:
                    self._try_to_drain()
                elif self._rests():
                    return None

    def _rests(self) -> bool:
        """Say that the thread ends, unless something has come in the last moment."""
        with self._lock:
            if self._asked.empty() and not self._spooled.is_set():
                self._thread = None
                return True
        return False

    def _try_to_drain(self) -> None:
        try:
            self.drain()
        except GatewayError as error:
            self._is_down(error)
        except Exception as error:  # whatever it is, what waits is kept and the thread lives
            log.exception("feedback that waits on the disk could not be moved into the database")
            self._is_down(error)

    def _write_asked(self, asked: Sequence[tuple[Kept, Future[Any]]]) -> None:
        if not asked:
            return
        try:
            self._write([kept for kept, _ in asked])
        except StoreUnavailable as error:
            self._is_down(error)
            for (feedback, due), future in asked:
                _end(future, lambda feedback=feedback, due=due: self._put_by(feedback, due))
        except Exception as error:  # noqa: BLE001 - it is theirs who wait
            for _, future in asked:
                future.set_exception(error)
        else:
            for _, future in asked:
                future.set_result(None)

    def _write(self, given: Sequence[Kept]) -> None:
        self._store().add(given)
        self.last_error = None
        self._wait = self._down_until = 0.0
        self._kept(given)

    def _put_by(self, feedback: Feedback, due: Sequence[Delivery]) -> None:
        self._spool().add(feedback, due)
        with self._lock:
            self._spooled.set()
            self._run()

    def _down(self) -> bool:
        silent = self._unanswered is not None and not self._unanswered.done()
        return silent or time.monotonic() < self._down_until

    def _silent(self, asked: Future[Any]) -> StoreUnavailable:
        self._unanswered = asked
        error = StoreUnavailable(f"the records' database: no answer within {self._patience:g} seconds")
        self._is_down(error)
        return error

    def _is_down(self, error: BaseException) -> None:
        if self.last_error is None:
            log.warning("feedback waits on the local disk: %s", error)
        self.last_error = type(error).__name__
        self._wait = min(LONGEST_WAIT, self._wait * 2 or FIRST_WAIT)
        self._down_until = time.monotonic() + self._wait


def _end(future: Future[Any], work: Callable[[], Any]) -> None:
    """Do something for whoever waits, and tell them."""
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - it is theirs who wait
        future.set_exception(error)
    else:
        future.set_result(result)
