"""What a task waits for that does the work of a relay."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

__all__ = ["Seat"]


class HandedOver(Protocol):
    """What can go on without the task that runs it."""

    def hand_over(self, context: contextvars.Context | None) -> bool:
        """Have another task go on; False where nobody wants it to."""
        ...


class Seat(msgspec.Struct, eq=False):
    """Stands in the place of the future at which the work stands, so that a cancellation of the task comes here."""

    relay: HandedOver
    waits_for: Any
    get_loop: Callable[[], asyncio.AbstractEventLoop]  # the future's own
    _asyncio_future_blocking: bool = True  # it is really waited for, as futures say it
    left: bool = False
    _wakeup: Callable[[Any], object] | None = None
    _context: contextvars.Context | None = None

    def add_done_callback(self, wakeup: Callable[[Any], object], *, context: contextvars.Context | None = None) -> None:
        """Have the task woken by what the work waits for."""
        self._wakeup, self._context = wakeup, context
        self.waits_for.add_done_callback(wakeup, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """Hear that the task is being cancelled."""
        if self.left:
            return False
        wakeup = self._wakeup
        if not self.relay.hand_over(self._context):
            return bool(self.waits_for.cancel(msg))
        self.left = True
        if wakeup is None or not self.waits_for.remove_done_callback(wakeup):
            return False  # it is about to wake, and will find that it is cancelled
        self.get_loop().call_soon(wakeup, _Cancelled(msg), context=self._context)
        return True


class _Cancelled:
    """What a task is woken with that is to be let go."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def result(self) -> None:
        """Raise, as a future does that was cancelled."""
        raise asyncio.CancelledError(*(() if self._message is None else (self._message,)))
