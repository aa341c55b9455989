"""Work that is done in the task of whoever awaits it, and goes on by itself when they go away."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import types
from asyncio.tasks import _enter_task, _leave_task  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

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
    wants the outcome: then the task is let go and another one takes the work over where it stands; otherwise the work
    is cancelled, as it would be without this.

    The work sees one and the same current task from its beginning to its end (a `_Runner`), whichever task runs it:
    its timeouts and cancel scopes know nothing of the change. It stands on what asyncio documents for tasks and
    futures of other makes: `_enter_task` and `_leave_task`, and that a task waits for anything with
    `_asyncio_future_blocking`, `add_done_callback` and `cancel`.
    """

    __slots__ = ("_error", "_goes_on", "_runner", "_work", "is_running", "loop", "task", "waits_for")

    def __init__(self, work: Coroutine[Any, Any, T], goes_on: Callable[[], bool]) -> None:
        self._work = work
        self._goes_on = goes_on
        self._error: BaseException | None = None  # to be thrown where the work stands still
        self.loop = loop = asyncio.get_running_loop()
        self._runner = _Runner(work, loop)
        self.waits_for: Any = None  # the future at which the work stands; None where it only gave way to others
        self.is_running = False
        self.task: asyncio.Task[None] | None = None

    @property
    def is_handed_over(self) -> bool:
        """Whether the one who awaited it has gone, and it goes on by itself."""
        return self.task is not None

    def __await__(self) -> Generator[Any, None, T | None]:
        runner, seat = self._runner, _Seat(self)
        host = asyncio.current_task(self.loop)
        assert host is not None
        stands, self.is_running = self.is_running, True  # it was handed over where it stood
        error, self._error = self._error, None
        while True:
            if not stands:
                try:
                    self.waits_for = waits_for = self._step(host, error)
                except BaseException as end:
                    runner.ended, self.is_running = True, False
                    if isinstance(end, StopIteration):
                        return cast(T, end.value)
                    raise
                if waits_for is _PAUSE:
                    self.is_running = False
                    return None
                runner.stands_at(waits_for)
            stands = False
            try:
                yield seat.taken() if self.waits_for is not None else None
                error = runner.resumed()
            except asyncio.CancelledError as cancelled:
                if seat.left or (self.waits_for is None and self.hand_over(contextvars.copy_context())):
                    raise
                runner.resumed()
                error = cancelled
            except GeneratorExit:
                self._work.close()
                raise
            except BaseException as raised:  # noqa: BLE001 - it is the work's
                runner.resumed()
                error = raised

    async def end(self) -> None:
        """Cancel work that stands still, and wait until it has cleaned up."""
        if not (self.is_running or self._runner.ended):
            self._error = asyncio.CancelledError()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # it is told of in the work
                await self

    def _step(self, host: asyncio.Task[Any], error: BaseException | None) -> Any:
        """Let the work run until it waits for something, and give that; `StopIteration` is its end."""
        loop, runner = self.loop, cast(Any, self._runner)
        _leave_task(loop, host)
        _enter_task(loop, runner)
        try:
            waits_for: Any = self._work.send(None) if error is None else self._work.throw(error)
        finally:
            _leave_task(loop, runner)
            _enter_task(loop, host)
        if waits_for is not None and waits_for is not _PAUSE:
            waits_for._asyncio_future_blocking = False
        return waits_for

    def hand_over(self, context: contextvars.Context | None) -> bool:
        """Have another task go on if somebody wants the outcome; whoever runs it now is to stop. False if nobody."""
        if self.task is not None or not self._goes_on():
            return False
        self.task = self.loop.create_task(self._go_on(), context=context)
        return True

    async def _go_on(self) -> None:
        try:
            with contextlib.suppress(Exception):  # it is told of in the work
                await self
        finally:
            self.task = None


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
        relay.loop.call_soon(wakeup, _Cancelled(msg), context=self._context)
        return True


class _Cancelled:
    """What a task is woken with that is to be let go."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def result(self) -> None:
        raise asyncio.CancelledError(*(() if self._message is None else (self._message,)))


class _Runner:
    """The task that the work sees as the current one: it can be cancelled as any other."""

    __slots__ = ("__weakref__", "_cancels", "_fut_waiter", "_loop", "_must_cancel", "_work", "ended")

    def __init__(self, work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._fut_waiter: Any = None
        self._must_cancel = False
        self._cancels = 0
        self.ended = False

    def stands_at(self, waits_for: Any) -> None:
        """Take note of what the work waits for; what was cancelled while it ran is cancelled now."""
        self._fut_waiter = waits_for
        if self._must_cancel and waits_for is not None and waits_for.cancel():
            self._must_cancel = False

    def resumed(self) -> BaseException | None:
        """Take note that it goes on, and give the cancellation that is still to be thrown, if there is one."""
        self._fut_waiter = None
        if not self._must_cancel:
            return None
        self._must_cancel = False
        return asyncio.CancelledError()

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the work, for whoever asks for it from inside: a timeout, a cancel scope."""
        if self.ended:
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
        return self.ended

    def cancelled(self) -> bool:
        """Say no: what it came to is not known here."""
        return False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop on which it runs."""
        return self._loop

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        """Give the work."""
        return self._work

    def get_name(self) -> str:
        """Give its name."""
        return f"relay-{id(self):x}"
