"""Who computes a value that many want at once: one does, the others wait for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from typing import Any, NamedTuple

__all__ = ["Abandoned", "Flight", "Turns"]

_computing: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("_computing", default=frozenset())


class Abandoned(Exception):
    """Whoever computed it went away: it is somebody else's turn."""


class Flight(NamedTuple):
    """A value under way; `mine` says that the caller has to compute it."""

    mine: bool
    value: concurrent.futures.Future[Any]


class Turns:
    """One computation of each key at a time in this process, whichever threads and event loops ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, tuple[concurrent.futures.Future[Any], asyncio.AbstractEventLoop | None]] = {}

    def join(self, key: str, *, blocking: bool = False) -> Flight | None:
        """Come to a computation or begin it; None where waiting would be for oneself.

        That is inside the computation itself, and for one who is `blocking` the event loop on which it runs.
        """
        if key in _computing.get():
            return None
        loop = asyncio._get_running_loop()  # pyright: ignore[reportPrivateUsage]
        with self._lock:
            found = self._flights.get(key)
            if found is not None and blocking and loop is not None and found[1] is loop:
                return None
            if found is None:
                value: concurrent.futures.Future[Any] = concurrent.futures.Future()
                value.set_running_or_notify_cancel()  # whoever stops waiting for it does not cancel it
                self._flights[key] = (value, loop)
                return Flight(True, value)
            return Flight(False, found[0])

    def forget(self) -> None:
        """Let go of what the parent process computes, in a forked child: its result will not come here."""
        self._lock = threading.Lock()
        self._flights = {}

    def enter(self, key: str) -> contextvars.Token[frozenset[str]]:
        """Note that what runs from here on computes `key`."""
        return _computing.set(_computing.get() | {key})

    def leave(self, token: contextvars.Token[frozenset[str]]) -> None:
        """Note that it has ended."""
        _computing.reset(token)

    def land(self, key: str, flight: Flight, value: Any) -> None:
        """Give the value to everyone who waits."""
        self._forget(key)
        flight.value.set_result(value)

    def fail(self, key: str, flight: Flight, error: BaseException) -> None:
        """Give the error to everyone who waits; where the computer only went away, the next takes its turn."""
        self._forget(key)
        flight.value.set_exception(error if isinstance(error, Exception) else Abandoned())

    def _forget(self, key: str) -> None:
        with self._lock:
            self._flights.pop(key, None)
