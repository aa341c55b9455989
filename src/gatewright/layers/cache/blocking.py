"""An event loop in a thread of its own, on which blocking callers have a store asked."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["BlockingSide"]

T = TypeVar("T")


class BlockingSide:
    """Starts its thread when it is first used; a forked child starts one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have `work()` run there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work(), self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            loop = self._loop
            if loop is None or self._pid != os.getpid():
                loop = self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=loop.run_forever, name="gatewright-cache", daemon=True).start()
            return loop

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `last()` run there where it was started, and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            asyncio.run_coroutine_threadsafe(last(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
