"""Work that is done in the task of whoever awaits it, and goes on by itself when they go away."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import types
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Relay", "pause"]

T = TypeVar("T")


_PAUSE = object()


@types.coroutine
def pause() -> Generator[Any, None, None]:
    """Have the work of a relay stand still until somebody awaits the relay again; only to be awaited there."""
    yield _PAUSE


class Relay(Generic[T]):
    """Runs `work` for whoever awaits it: to its end, or to its next `pause`, at which None is given.

    A task for each would cost two turns of the event loop, and hardly ever be needed. Whoever awaits it runs the work,
    step by step, in their own task; one at a time. If that task is cancelled, `goes_on()` says whether somebody else
    wants the outcome: then the task is let go, and another one, which runs `heir()`, is to await this and so to take
    the work over where it stands; otherwise the work is cancelled, as it would be without this.

    The work sees one and the same current task from its beginning to its end, this one, whichever task runs it: its
    timeouts and cancel scopes know nothing of the change. It stands on what asyncio documents for tasks and futures of
    other makes: `_enter_task` and `_leave_task`, and that a task waits for anything with `_asyncio_future_blocking`,
    `add_done_callback` and `cancel`.
    """

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_ended",
        "_error",
        "_fut_waiter",
        "_goes_on",
        "_heir",
        "_loop",
        "_must_cancel",
        "_work",
        "is_running",
        "task",
    )

    def __init__(
        self, work: Coroutine[Any, Any, T], goes_on: Callable[[], bool], heir: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._work = work
        self._goes_on = goes_on
        self._heir = heir
        self._loop = asyncio.get_running_loop()
        self._error: BaseException | None = None  # to be thrown where the work stands still
        # The future at which the work stands; None where it runs, or only gave way to others.
        self._fut_waiter: Any = None
        self._must_cancel = self._ended = self.is_running = False
        self._cancels = 0
        self.task: asyncio.Task[None] | None = None

    @property
    def is_handed_over(self) -> bool:
        """Whether the one who awaited it has gone, and it goes on by itself."""
        return self.task is not None

    def __await__(self) -> Generator[Any, None, T | None]:
        loop, work, seat = self._loop, self._work, None
        me: Any = self
        host = asyncio.current_task(loop)
        assert host is not None
        stands, self.is_running = self.is_running, True  # it was handed over where it stood
        error, self._error = self._error, None
        while True:
            if not stands:
                _leave_task(loop, host)
                _enter_task(loop, me)
                try:
                    waits_for: Any = work.send(None) if error is None else work.throw(error)
                except BaseException as end:
                    self._ended, self.is_running = True, False
                    if type(end) is StopIteration:
                        return end.value
                    raise
                finally:
                    _leave_task(loop, me)
                    _enter_task(loop, host)
                if waits_for is _PAUSE:
                    self.is_running = False
                    return None
                if waits_for is not None:
                    waits_for._asyncio_future_blocking = False
                self._fut_waiter = waits_for
                if self._must_cancel and waits_for is not None and waits_for.cancel():
                    self._must_cancel = False  # it was cancelled while it ran
            stands, error = False, None
            try:
                if self._fut_waiter is None:
                    yield None
                else:
                    if seat is None:
                        seat = _Seat(self)
                    yield seat.taken()
            except asyncio.CancelledError as cancelled:
                left = seat is not None and seat.left
                if left or (self._fut_waiter is None and self.hand_over(contextvars.copy_context())):
                    raise
                error = cancelled
            except GeneratorExit:
                work.close()
                raise
            except BaseException as raised:  # noqa: BLE001 - it is the work's
                error = raised
            self._fut_waiter = None
            if self._must_cancel:
                self._must_cancel = False
                error = error or asyncio.CancelledError()

    def hand_over(self, context: contextvars.Context | None) -> bool:
        """Have another task go on if somebody wants the outcome; whoever runs it now is to stop. False if nobody."""
        if self.task is not None or not self._goes_on():
            return False
        self.task = self._loop.create_task(self._heir(), context=context)
        self.task.add_done_callback(self._heir_ended)
        return True

    def _heir_ended(self, _: asyncio.Task[None]) -> None:
        self.task = None

    async def end(self) -> None:
        """Cancel work that stands still, or goes on by itself, and wait until it has cleaned up."""
        if (task := self.task) is not None:
            # Not the task, which may not have begun: what it runs would be left standing.
            self.cancel()
            await asyncio.wait((task,))
        elif not (self.is_running or self._ended):
            self._error = asyncio.CancelledError()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # it is told of in the work
                await self

    @property
    def waits_for(self) -> Any:
        """The future at which the work stands."""
        return self._fut_waiter

    # What the work, and what it uses, asks of the task that it takes this for.

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the work, for whoever asks for it from inside: a timeout, a cancel scope."""
        if self._ended:
            return False
        self._cancels += 1
        if self._fut_waiter is None or not self._fut_waiter.cancel(msg):
            self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """Give how many cancellations were asked for and not taken back."""
        return self._cancels

    def uncancel(self) -> int:
        """Take one back."""
        if self._cancels:
            self._cancels -= 1
        return self._cancels

    def done(self) -> bool:
        """Whether the work has ended."""
        return self._ended

    def cancelled(self) -> bool:
        """Say no: what it came to, those know who await it."""
        return False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop on which it runs."""
        return self._loop

    def get_coro(self) -> Coroutine[Any, Any, T]:
        """Give the work."""
        return self._work

    def get_name(self) -> str:
        """Give its name."""
        return f"relay-{id(self):x}"


class _Seat:
    """What the task that runs the work waits for, in the place of the future at which the work stands."""

    __slots__ = ("_asyncio_future_blocking", "_context", "_relay", "_wakeup", "left")

    def __init__(self, relay: Relay[Any]) -> None:
        self._asyncio_future_blocking = False
        self._relay = relay
        self._wakeup: Callable[[Any], object] | None = None
        self._context: contextvars.Context | None = None
        self.left = False

    def taken(self) -> _Seat:
        """Say, as futures do, that it is really waited for."""
        self._asyncio_future_blocking = True
        return self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop of what the work waits for."""
        return self._relay.waits_for.get_loop()

    def add_done_callback(self, wakeup: Callable[[Any], object], *, context: contextvars.Context | None = None) -> None:
        """Have the task woken by what the work waits for."""
        self._wakeup, self._context = wakeup, context
        self._relay.waits_for.add_done_callback(wakeup, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """Hear that the task is being cancelled."""
        if self.left:
            return False
        relay, wakeup = self._relay, self._wakeup
        if not relay.hand_over(self._context):
            return bool(relay.waits_for.cancel(msg))
        self.left = True
        if wakeup is None or not relay.waits_for.remove_done_callback(wakeup):
            return False  # it is about to wake, and will find that it is cancelled
        relay.get_loop().call_soon(wakeup, _Cancelled(msg), context=self._context)
        return True


class _Cancelled:
    """What a task is woken with that is to be let go."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def result(self) -> None:
        """Raise, as a future does that was cancelled."""
        raise asyncio.CancelledError(*(() if self._message is None else (self._message,)))
