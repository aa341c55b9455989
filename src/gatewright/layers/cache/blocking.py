"""An event loop in a thread of its own, on which blocking callers have a store asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["BlockingSide"]

T = TypeVar("T")


class BlockingSide:
    """Starts its thread when it is first used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have `work()` run there, and wait for it."""
        with self._lock:
            loop = self._loop
            if loop is None:
                loop = self._start()
        return asyncio.run_coroutine_threadsafe(work(), loop).result()

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `last()` run there, where it was started, and end the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(last(), loop).result()
            _end(loop)
            thread.join()

    def forget(self) -> None:
        """Leave the thread to the parent process, in a forked child."""
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = self._loop = asyncio.new_event_loop()
        # The thread knows the loop only: one that nobody holds any more can be ended.
        self._thread = threading.Thread(target=_live, args=(loop,), name="gatewright-cache", daemon=True)
        self._thread.start()
        weakref.finalize(self, _end, loop).atexit = False
        return loop


def _live(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(loop.stop)
