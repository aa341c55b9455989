"""The home loop: the one event loop on which a gateway's shared state lives.

It is adopted (the loop of the first `async with` or awaited call) or started in a thread of its own (a first blocking
call). Calls from any other thread or loop are handed over to it, so the state needs no locks.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gatewright.errors import BlockingCallRefused, CallCancelled, GatewayClosed

__all__ = ["HomeLoop", "Resources"]

T = TypeVar("T")
EXIT_SECONDS = 2.0
"""How long the end of the process waits for connections to close."""


class Resources(Protocol):
    """What is bound to the home loop."""

    async def aclose(self) -> None:
        """Close it on its loop."""
        ...

    def abandon(self) -> None:
        """Let go of it without its loop, which is closed or belongs to the parent process."""
        ...


class HomeLoop:
    """Knows which loop is home, moves when that one is gone, and lets go of everything when the process ends."""

    def __init__(self, resources: Resources) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._watch: AsyncGenerator[None, None] | None = None
        self._resources = resources
        self._lock = threading.Lock()
        self.closed = False
        _homes.add(self)

    async def arrive(self) -> bool:
        """Make the running loop home unless another one is; True where it is home now."""
        running = asyncio.get_running_loop()
        with self._lock:
            self._check_open()
            if self.loop is running:
                return True
            if self.loop is not None and self.loop.is_running():
                return False
            self._leave()
            self.loop = running
            watch = self._watch = _watch(self, self._resources)
        await anext(watch)
        return True

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` at home and await it, from whichever loop; its own loop is home already in the usual case."""
        if self.loop is asyncio.get_running_loop() or await self.arrive():
            return await work()
        return await asyncio.wrap_future(self.submit(work))

    def run_blocking(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` at home and wait for it; `BlockingCallRefused` from the home loop itself."""
        self.refuse_here()
        future = self.submit(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise CallCancelled("the call was cancelled: its gateway or its event loop was closed") from None
        except BaseException:
            future.cancel()
            raise

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Start `work` at home, from any thread."""
        return asyncio.run_coroutine_threadsafe(work(), self._elsewhere())

    def refuse_here(self) -> None:
        """Raise `BlockingCallRefused` if the caller runs on the home loop, which waiting would stop for ever."""
        if self.loop is not None and asyncio._get_running_loop() is self.loop:  # pyright: ignore[reportPrivateUsage]
            raise BlockingCallRefused(
                "a blocking call on the gateway's own event loop would wait for ever: await the _async form instead"
            )

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have `callback` run at home soon, from any thread or a finalizer; nothing happens where home is gone."""
        loop = self.loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(callback)

    def _elsewhere(self) -> asyncio.AbstractEventLoop:
        """Give the home loop to one who is not on it; starts a thread where there is none that runs."""
        loop = self.loop
        if loop is not None and loop.is_running():
            return loop
        with self._lock:
            self._check_open()
            if self.loop is None or not self.loop.is_running():
                self._leave()
                self._start()
            assert self.loop is not None
            return self.loop

    def _start(self) -> None:
        started = threading.Event()
        self.loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_live, args=(loop, started), name="gatewright-home", daemon=True)
        self._thread.start()
        started.wait()

    def _leave(self) -> None:
        """Let go of a home that is no longer there."""
        if self.loop is not None:
            self._resources.abandon()
            self.loop = self._watch = self._thread = None

    def _check_open(self) -> None:
        if self.closed:
            raise GatewayClosed("the gateway is closed: make a new one")

    async def aclose(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Run `finish` at home, close what is bound to it, and take no calls any more."""
        if self.closed:
            return
        self.closed = True
        loop = self.loop
        if loop is None or not loop.is_running():
            self._leave()
        elif loop is asyncio.get_running_loop():
            await self._end(finish)
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._end(finish), loop))
            self._stop_thread()

    def close(self, finish: Callable[[], Awaitable[None]], timeout: float | None = None) -> None:
        """Do the same and wait for it; a timeout in seconds is for the end of the process."""
        if self.closed:
            return
        self.refuse_here()
        self.closed = True
        loop = self.loop
        if loop is None or not loop.is_running():
            self._leave()
            return
        with contextlib.suppress(concurrent.futures.CancelledError, TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(finish), loop).result(timeout)
        self._stop_thread(timeout)

    async def _end(self, finish: Callable[[], Awaitable[None]]) -> None:
        try:
            await finish()
        finally:
            await self._resources.aclose()

    def _stop_thread(self, timeout: float | None = None) -> None:
        thread, loop = self._thread, self.loop
        if thread is None or loop is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout)

    def forget(self) -> None:
        """Start afresh in a forked child: the loop, its thread and its connections are the parent's."""
        self._lock = threading.Lock()
        _of_the_parent.append((self.loop, self._watch))
        self._resources.abandon()
        self.loop = self._watch = self._thread = None


async def _watch(home: HomeLoop, resources: Resources) -> AsyncGenerator[None, None]:
    """Close the resources when their loop ends: `asyncio.run` closes all async generators that are still open."""
    try:
        yield
    finally:
        if home.loop is asyncio.get_running_loop():
            await resources.aclose()


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
            loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


_homes: weakref.WeakSet[HomeLoop] = weakref.WeakSet()
# What a child inherited and must neither close nor collect: its sockets and its epoll are the parent's too.
_of_the_parent: list[object] = []


async def _nothing() -> None:
    """There is nobody left to finish for."""


def _at_exit() -> None:
    for home in list(_homes):
        home.close(_nothing, EXIT_SECONDS)


def _in_child() -> None:
    for home in list(_homes):
        home.forget()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
