"""Work that is done in the task of whoever runs it, and goes on by itself when they go away."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import types
from asyncio import get_running_loop
from collections.abc import Coroutine, Generator
from types import CoroutineType
from typing import Any

import msgspec

from gatewright.layers.deduplication.seat import Seat

__all__ = ["Relay", "pause"]


_PAUSE = object()
if sys.version_info < (3, 12):
    # There the current task is looked up by a function written in Python, and is set in the table itself.
    from asyncio.tasks import _current_tasks as _table  # pyright: ignore

    _tasks: Any = _table  # pyright: ignore
    _current_task: Any = _table.get  # pyright: ignore
else:
    from asyncio.tasks import _swap_current_task  # pyright: ignore

    class _Tasks:
        """The table as it was before: `tasks[loop] = task`, with no frame of Python between."""

        __setitem__: Any = _swap_current_task

    _tasks = _Tasks()
    _current_task = asyncio.current_task


@types.coroutine
def pause() -> Generator[Any, None, None]:
    """Have the work of a relay stand still until somebody runs the relay again; only to be awaited there."""
    yield _PAUSE


class Relay(msgspec.Struct, eq=False, weakref=True, kw_only=True):
    """Runs `work` for whoever awaits `run()`: to its end, or to its next `pause`, at which None is given.

    A task for each would cost two turns of the event loop, and hardly ever be needed. Whoever runs it does the work,
    step by step, in their own task; one at a time. If that task is cancelled, `let_go()` says whether somebody else
    wants the outcome: then the task is let go, and another one, which runs `fly_on()`, is to run this and so to take
    the work over where it stands; otherwise the work is cancelled, as it would be without this.

    The work sees one and the same current task from its beginning to its end, this one, whichever task runs it: its
    timeouts and cancel scopes know nothing of the change. It stands on what asyncio has for tasks and futures of other
    makes: the table of current tasks, and that a task waits for anything with `_asyncio_future_blocking`,
    `add_done_callback` and `cancel`. It is a struct for the cheapness of making one.
    """

    work: Any = None  # a coroutine
    task: asyncio.Task[None] | None = None
    host: Any = None  # the task that runs it, or the relay whose work does; None before it begins, and at a pause
    _failure: BaseException | None = None  # to be thrown where the work stands still
    # The future at which the work stands; None where it runs, or only gave way to others.
    _fut_waiter: Any = None
    _must_cancel: bool = False
    _cancels: int = 0

    def let_go(self) -> bool:
        """Say whether somebody else wants what one was at who is being cancelled."""
        return False

    async def fly_on(self) -> None:
        """Run it without the one who has gone."""
        await self.run()

    def came(self, value: Any) -> Any:
        """Take what the work came to, and say what is to be given for it; a coroutine is more work, and is done."""
        return value

    def ended(self, error: BaseException) -> None:
        """Hear that the work failed."""

    @property
    def is_running(self) -> bool:
        """Whether somebody runs it, and it is not at a pause."""
        return self.host is not None

    @property
    def is_handed_over(self) -> bool:
        """Whether the one who ran it has gone, and it goes on by itself."""
        return self.task is not None and not self.task.done()

    @types.coroutine
    def run(self) -> Generator[Any, None, Any]:
        """Do the work in the current task."""
        loop = get_running_loop()
        stands = self.host is not None  # it was handed over where it stood
        self.host = host = _current_task(loop)
        work: Any = self.work
        error: BaseException | None = self._failure
        seat: Seat | None = None
        if error is not None:  # a struct's fields are cheap to read, not to set
            self._failure = None
        while True:
            if not stands:
                _tasks[loop] = self
                try:
                    waits_for: Any = work.send(None) if error is None else work.throw(error)
                except StopIteration as end:
                    came = self.came(end.value)
                    if came.__class__ is not CoroutineType:
                        return came
                    self.work = work = came
                    continue
                except BaseException as failure:
                    self.ended(failure)
                    raise
                finally:
                    _tasks[loop] = host
                    error = None  # its traceback may come to have this frame
                if waits_for is _PAUSE:
                    self.host = None
                    return None
                self._fut_waiter = waits_for
                if waits_for is not None:
                    waits_for._asyncio_future_blocking = False
                    if self._must_cancel and waits_for.cancel():
                        self._must_cancel = False  # it was cancelled while it ran
            stands = False
            try:
                waits_for = self._fut_waiter
                if waits_for is None:
                    seat = None
                    yield None
                else:
                    yield (seat := Seat(self, waits_for, waits_for.get_loop, waits_for.add_done_callback))
            except asyncio.CancelledError as cancelled:
                if seat.left if seat is not None else self.hand_over(contextvars.copy_context()):
                    raise
                error = cancelled
            except GeneratorExit as closed:
                work.close()
                self.ended(closed)
                raise
            except BaseException as raised:  # noqa: BLE001 - it is the work's
                error = raised
            self._fut_waiter = None
            if self._must_cancel:
                self._must_cancel = False
                error = error or asyncio.CancelledError()

    def hand_over(self, context: contextvars.Context | None) -> bool:
        """Have another task go on if somebody wants the outcome; whoever runs it now is to stop. False if nobody."""
        if self.is_handed_over or not self.let_go():
            return False
        self.task = self.get_loop().create_task(self.fly_on(), context=context)
        return True

    async def end(self) -> None:
        """Cancel work that stands still, or goes on by itself, and wait until it has cleaned up."""
        task = self.task
        # Whoever is woken by what another task read may come here before the callbacks of its end: it is asked itself.
        if task is not None and not task.done():
            # Not the task, which may not have begun: what it runs would be left standing.
            self.cancel()
            await asyncio.wait((task,))
        elif self.host is None and not self.done():
            self._failure = asyncio.CancelledError()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # it is told of in the work
                await self.run()

    # What the work, and what it uses, asks of the task that it takes this for.

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the work, for whoever asks for it from inside: a timeout, a cancel scope."""
        if self.done():
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
        """Whether the work has ended: then its frame is gone."""
        work = self.work
        return (work.cr_frame if isinstance(work, CoroutineType) else work.gi_frame) is None

    def cancelled(self) -> bool:
        """Say no: what it came to, those know who run it."""
        return False

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop on which it runs; at a pause that of whoever asks."""
        return get_running_loop() if self.host is None else self.host.get_loop()

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        """Give the work."""
        return self.work

    def get_name(self) -> str:
        """Give its name."""
        return f"relay-{id(self):x}"
