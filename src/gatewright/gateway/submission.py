"""Work that goes on at home, seen from another thread or loop: waited for, cancelled, and missed if home is gone."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from gatewright.errors import CallCancelled
from gatewright.pipeline.tracebacks import let_go_of_frames

__all__ = ["LOOK_SECONDS", "Liveness", "LoopEnded", "Submission", "begin_exit", "rest_at_exit"]

T = TypeVar("T")
ENDED = "the call was cut off: the event loop on which its gateway lived has ended, or stands still"
LOOK_SECONDS = 1.0
"""How often whoever waits looks whether the loop that is to answer still runs."""


class LoopEnded(CallCancelled):
    """The work was cancelled, or never began, with nobody asking for that: its loop has ended, or is about to."""

    def __init__(self, message: str = ENDED, **context: Any) -> None:
        super().__init__(message, **context)


_exiting = threading.Event()


def begin_exit() -> None:
    """Note that the process is about to end."""
    _exiting.set()


def rest_at_exit() -> None:
    """Hold a daemon thread whose call is cut off by the end of the process, which ends it a moment later.

    An error would only have it print a traceback that tells nobody anything.
    """
    if _exiting.is_set() and threading.current_thread().daemon:
        threading.Event().wait()


class Liveness:
    """Notices that a loop which something is expected from does not run any more."""

    __slots__ = ("_loop", "_missed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._missed = False

    def lost(self) -> bool:
        """Say whether the loop is closed, or stands still now and did the last time."""
        if self._loop.is_running():
            self._missed = False
            return False
        # Between two `run_until_complete` a loop stands still for a moment only.
        missed, self._missed = self._missed, True
        return missed or self._loop.is_closed()


class Submission(Generic[T]):
    """A coroutine that is made and run on `loop`; `future` has its result.

    Where `cancel` ended it that is `CallCancelled`, where it was cancelled otherwise `LoopEnded`.

    Unlike with `run_coroutine_threadsafe`, the future ends when the work has really ended, a cancelled one too, and
    a loop that ends before the work began leaves no coroutine behind that was never awaited.
    """

    __slots__ = ("_cancelled", "_refused", "_task", "future", "loop")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], Coroutine[Any, Any, T]],
        refused: Callable[[], bool] | None = None,
    ) -> None:
        self.loop = loop
        self._refused = refused  # asked on the loop: whether it takes no work any more
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.future.set_running_or_notify_cancel()  # from now on only the work's end can end it
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        loop.call_soon_threadsafe(self._start, work)

    def _start(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        if self._cancelled:
            self.future.set_exception(CallCancelled("the call was cancelled"))
            return
        if self._refused is not None and self._refused():
            self.future.set_exception(LoopEnded())
            return
        self._task = self.loop.create_task(work())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if task.cancelled():
            self.future.set_exception(CallCancelled("the call was cancelled") if self._cancelled else LoopEnded())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def wait(self) -> T:
        """Wait in blocking code; whatever interrupts the waiting cancels the work."""
        liveness = Liveness(self.loop)
        try:
            while True:
                try:
                    return self.future.result(LOOK_SECONDS)
                except TimeoutError:  # the waiting's, or the work's own
                    if self.future.done():
                        return self.future.result()
                    if liveness.lost():
                        raise LoopEnded from None
        except BaseException as error:
            let_go_of_frames(error)
            raise
        finally:
            rest_at_exit()
            self.cancel()

    async def wait_async(self) -> T:
        """Wait on another loop; cancelling the waiting cancels the work."""
        liveness = Liveness(self.loop)
        ended = asyncio.wrap_future(self.future)
        try:
            while not (await asyncio.wait((ended,), timeout=LOOK_SECONDS))[0]:
                if liveness.lost():
                    raise LoopEnded
            return ended.result()
        except BaseException as error:
            let_go_of_frames(error)
            raise
        finally:
            ended.cancel()
            self.cancel()

    def cancel(self) -> None:
        """Cancel the work, from any thread; nothing happens where it has ended."""
        if self.future.done():
            return
        self._cancelled = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
