"""What a task waits for that does the work of a relay."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

__all__ = ["Seat"]


class HandedOver(Protocol):
    """What can go on without the task that runs it, its `host`; that may be another such, whose work it is part of."""

    host: Any

    def hand_over(self, context: contextvars.Context | None) -> bool:
        """Have another task go on; False where nobody wants it to."""
        ...


class Seat(msgspec.Struct, eq=False):
    """Stands in the place of the future at which the work stands, so that a cancellation of the task comes here."""

    relay: HandedOver
    waits_for: Any
    get_loop: Callable[[], asyncio.AbstractEventLoop]  # the future's own
    add_done_callback: Callable[..., object]  # likewise: what wakes the task is the future itself
    _asyncio_future_blocking: bool = True  # it is really waited for, as futures say it
    left: bool = False

    @property
    def _callbacks(self) -> Any:
        return self.waits_for._callbacks  # for a seat on this one: the work may itself run a relay

    def remove_done_callback(self, wakeup: Callable[[Any], object]) -> int:
        """Have it not woken."""
        return self.waits_for.remove_done_callback(wakeup)

    def cancel(self, msg: Any = None) -> bool:
        """Hear that the task is being cancelled."""
        if self.left:
            return False
        wakeup, context = self._wakeup()
        if not self.relay.hand_over(context):
            return bool(self.waits_for.cancel(msg))
        self.left = True
        if wakeup is None or not self.waits_for.remove_done_callback(wakeup):
            return False  # it is about to wake, and will find that it is cancelled
        self.get_loop().call_soon(wakeup, _Cancelled(msg), context=context)
        return True

    def _wakeup(self) -> tuple[Callable[[Any], object] | None, contextvars.Context | None]:
        """Find what wakes the task among what waits for the future, and in which context."""
        task = self.relay.host
        while (outer := getattr(task, "host", None)) is not None:
            task = outer
        for callback, context in self._callbacks or ():
            if getattr(callback, "__self__", None) is task:
                return callback, context
        return None, None


class _Cancelled:
    """What a task is woken with that is to be let go."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def result(self) -> None:
        """Raise, as a future does that was cancelled."""
        raise asyncio.CancelledError(*(() if self._message is None else (self._message,)))
