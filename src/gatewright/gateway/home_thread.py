"""A thread with an event loop of its own, for gateways that are used from blocking code."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Awaitable
from typing import Any, Protocol

from gatewright.pipeline.settling import keep_settling

__all__ = ["HomeThread", "wait_for_released"]

LAST_SECONDS = 1.0
"""How long tasks that are cancelled at the end may take."""


class _Closeable(Protocol):
    def aclose(self) -> Awaitable[None]: ...


class HomeThread:
    """Runs `loop` until it is stopped, or `owner` is collected, upon which `resources` are closed first."""

    def __init__(self, owner: object, resources: _Closeable) -> None:
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=_live, args=(self.loop, started), name="gatewright-home", daemon=True)
        self._thread.start()
        started.wait()
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(
            owner, _release, self.loop, resources, self._thread
        )
        self._finalizer.atexit = False

    def stop(self, timeout: float | None = None) -> None:
        """Stop, and wait for it."""
        self._tell()
        self._thread.join(timeout)

    async def stop_async(self) -> None:
        """Stop, and wait for it on another loop."""
        self._tell()
        while self._thread.is_alive():  # noqa: ASYNC110 - a thread cannot be awaited
            await asyncio.sleep(0.002)

    def forget(self) -> None:
        """Leave the loop to the parent process."""
        self._finalizer.detach()

    def _tell(self) -> None:
        self._finalizer.detach()
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)


def _live(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(started.set)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


_released: set[threading.Thread] = set()
"""The threads of gateways that were collected, which close what was theirs."""


def wait_for_released(seconds: float) -> None:
    """Let the threads of collected gateways end, for so long at most each: the process is about to."""
    for thread in list(_released):
        thread.join(seconds)


def _release(loop: asyncio.AbstractEventLoop, resources: _Closeable, thread: threading.Thread) -> None:
    _released.add(thread)

    async def close() -> None:
        try:
            await resources.aclose()
        finally:
            loop.stop()
            _released.discard(thread)

    def start() -> None:
        # The coroutine is made on the loop: where that is closed none is left unawaited.
        keep_settling(close())

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(start)
