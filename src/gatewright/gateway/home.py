"""The home loop: the one event loop on which a gateway's shared state lives.

It is adopted (the loop of `async with`, or of the first awaited call if that is the main thread's) or started in a
thread of its own (for a first blocking call, or one awaited in another thread, where loops come and go and several
share a gateway). Calls from any other thread or loop are handed over to it, so the state needs no locks. What was
handed over to a loop that ends meanwhile begins anew at the next home.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gatewright.errors import BlockingCallRefused, GatewayClosed
from gatewright.gateway.home_thread import HomeThread, wait_for_released
from gatewright.gateway.submission import LoopEnded, Submission, begin_exit

__all__ = ["HomeLoop", "Resources"]

T = TypeVar("T")
EXIT_SECONDS = 2.0
"""How long the end of the process waits for connections to close."""
MOVE_SECONDS = 2.0
"""How long an event loop that has cancelled its tasks may take to end."""
STILL_SECONDS = 0.1
"""How long another thread's loop may stand still before it is left."""


class Resources(Protocol):
    """What is bound to the home loop."""

    async def aclose(self, *, moving: bool = False) -> None:
        """Close it on its loop; `moving` is that another loop will be home."""
        ...

    def abandon(self, *, forked: bool = False) -> None:
        """Let go of it without its loop, which is closed or, where `forked`, belongs to the parent process."""
        ...


class HomeLoop:
    """Knows which loop is home, moves when that one is gone, and lets go of everything when the process ends."""

    def __init__(self, resources: Resources) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._owner = 0  # the thread whose loop was adopted
        self._thread: HomeThread | None = None
        self._watch: AsyncGenerator[None, None] | None = None
        self._resources = resources
        self._ending = False  # home is about to end and takes no work any more
        self._lock = threading.Lock()
        self.closed = False
        _homes.add(self)

    async def arrive(self, *, settle: bool = False) -> bool:
        """Make the running loop home, if it is the main thread's or `settle`, unless another one is; True if it is."""
        running = asyncio.get_running_loop()
        with self._lock:
            if self.loop is running:
                return True
            self._check_open()
            if self.loop is not None and self.loop.is_running():
                return False
            if not settle and threading.current_thread() is not threading.main_thread():
                return False
            self._leave()
            self.loop, self._owner = running, threading.get_ident()
            watch = self._watch = _watch(weakref.ref(self), self._resources)
        await anext(watch)
        return True

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` at home and await it, from whichever loop; its own loop is home already in the usual case."""
        if self.loop is asyncio.get_running_loop() or await self.arrive():
            return await work()
        while True:
            submission = self.submit(work)
            try:
                return await submission.wait_async()
            except LoopEnded:
                await asyncio.to_thread(self.await_move, submission.loop)
            finally:
                del submission  # it has the error, whose traceback has this frame

    def run_blocking(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` at home and wait for it; `BlockingCallRefused` from the home loop itself."""
        while True:
            self.refuse_here()
            submission = self.submit(work)
            try:
                return submission.wait()
            except LoopEnded:
                self.await_move(submission.loop)
            finally:
                del submission  # likewise

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Submission[T]:
        """Start `work` at home, from any thread."""
        while True:
            loop = self._elsewhere()
            with contextlib.suppress(RuntimeError):  # it was closed just now: there will be another
                return Submission(loop, work, functools.partial(self._refuses, loop))

    def _refuses(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._ending or self.loop is not loop

    def await_move(self, ended: asyncio.AbstractEventLoop) -> None:
        """Wait until `ended` is home no more; raises `LoopEnded` where it goes on after all."""
        until = time.monotonic() + MOVE_SECONDS
        while self.loop is ended and ended.is_running():
            if time.monotonic() > until:
                raise LoopEnded
            time.sleep(0.002)

    def refuse_here(self) -> None:
        """Raise `BlockingCallRefused` if the caller runs on the home loop, which waiting would stop for ever."""
        if self.loop is not None and asyncio._get_running_loop() is self.loop:  # pyright: ignore[reportPrivateUsage]
            raise BlockingCallRefused(
                "a blocking call on the gateway's own event loop would wait for ever: "
                "await generate_async, embed_async, batch_generate_async or aclose, and read streams with `async for`"
            )

    def do(self, work: Callable[[], T]) -> T:
        """Do something quick at home and give its result; where no home loop runs, here and now."""
        loop = self.loop
        if loop is None or not loop.is_running() or asyncio._get_running_loop() is loop:  # pyright: ignore[reportPrivateUsage]
            return work()

        async def at_home() -> T:
            return work()

        return self.run_blocking(at_home)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have `callback` run at home soon, from any thread or a finalizer; nothing happens where home is gone."""
        loop = self.loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(callback)

    def _elsewhere(self) -> asyncio.AbstractEventLoop:
        """Give the home loop to one who is not on it; starts a thread where there is none that runs."""
        loop = self.loop
        if loop is not None and (loop.is_running() or self._turns_again(loop)):
            return loop
        with self._lock:
            self._check_open()
            if self.loop is None or not self.loop.is_running():
                self._leave()
                self._thread = HomeThread(self, self._resources)
                self.loop = self._thread.loop
            return self.loop

    def _turns_again(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Give a loop that stands still a moment: between the stages of its end `asyncio.run` has it so."""
        until = time.monotonic() + STILL_SECONDS
        while not loop.is_closed() and self._owner != threading.get_ident() and time.monotonic() < until:
            if loop.is_running():
                return True
            time.sleep(0.001)
        return False

    def _leave(self) -> None:
        """Let go of a home that is no longer there, or stands still."""
        loop = self.loop
        if loop is None:
            return
        if not loop.is_closed() and not loop.is_running() and self._may_turn():
            loop.run_until_complete(self._resources.aclose(moving=True))
        self._resources.abandon()
        self.loop = self._watch = self._thread = None
        self._ending = False

    def _may_turn(self) -> bool:
        """Say whether a loop that stands still is this thread's, which can let it turn to close its connections."""
        return self._owner == threading.get_ident() and asyncio._get_running_loop() is None  # pyright: ignore[reportPrivateUsage]

    def ending(self) -> None:
        """Hear from home that it is about to end."""
        self._ending = True

    def left(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear from `loop` that all is closed that was bound to it."""
        with self._lock:
            if self.loop is loop:
                self._leave()

    def check_here(self, call_id: str) -> None:
        """Raise `GatewayClosed`, or `LoopEnded` where the running loop is home no more, for a call that begins."""
        if self.closed or self._ending or self.loop is not asyncio.get_running_loop():
            self._check_open(call_id)
            raise LoopEnded(request_id=call_id)

    def _check_open(self, call_id: str | None = None) -> None:
        if self.closed:
            raise GatewayClosed("the gateway is closed: make a new one", request_id=call_id)

    async def aclose(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Run `finish` at home, close what is bound to it, and take no calls any more."""
        if self.closed:
            return
        self.closed = True
        loop, thread = self.loop, self._thread
        if loop is None or not loop.is_running():
            self._leave()
        elif loop is asyncio.get_running_loop():
            await self._end(finish)
        else:
            await Submission(loop, lambda: self._end(finish)).wait_async()
            if thread is not None:
                await thread.stop_async()

    def close(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Do the same and wait for it."""
        if self.closed:
            return
        self.refuse_here()
        self.closed = True
        loop, thread = self.loop, self._thread
        if loop is None or not loop.is_running():
            self._leave()
            return
        Submission(loop, lambda: self._end(finish)).wait()
        if thread is not None:
            thread.stop()

    async def _end(self, finish: Callable[[], Awaitable[None]]) -> None:
        try:
            await finish()
        finally:
            await self._resources.aclose()

    def exit(self) -> None:
        """Close at the end of the process: nothing is waited for but the connections, and these not for long."""
        self.closed = True
        loop, thread = self.loop, self._thread
        if loop is None or not loop.is_running():
            self._leave()
        elif thread is not None:  # a loop of others that still runs is theirs to end
            with contextlib.suppress(Exception):  # nobody is left to be told
                Submission(loop, self._resources.aclose).future.result(EXIT_SECONDS)
            thread.stop(EXIT_SECONDS)

    def forget(self) -> None:
        """Start afresh in a forked child: the loop, its thread and its connections are the parent's."""
        self._lock = threading.Lock()
        if self._thread is not None:
            self._thread.forget()
        _of_the_parent.append((self.loop, self._watch, self._thread))
        self._resources.abandon(forked=True)
        self.loop = self._watch = self._thread = None
        self._ending = False


async def _watch(home: weakref.ref[HomeLoop], resources: Resources) -> AsyncGenerator[None, None]:
    """Close the resources when their loop ends, or the gateway is collected.

    `asyncio.run` closes all async generators that are still open; one that is collected is closed on its loop.
    """
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        owner = home()
        if owner is not None and owner.loop is loop:
            owner.ending()
        if owner is None or owner.loop is loop:
            await resources.aclose(moving=True)
        if owner is not None:
            owner.left(loop)


_homes: weakref.WeakSet[HomeLoop] = weakref.WeakSet()
# What a child inherited and must neither close nor collect: its sockets and its epoll are the parent's too.
_of_the_parent: list[object] = []


def _at_exit() -> None:
    begin_exit()
    for home in list(_homes):
        home.exit()
    wait_for_released(EXIT_SECONDS)


def _in_child() -> None:
    for home in list(_homes):
        home.forget()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
