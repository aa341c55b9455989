"""How a reply ended, and the callbacks that are told of it, none of which a cancelled reader can stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Literal, TypeVar

import msgspec

__all__ = ["Ending", "Outcome", "Settled", "call_settled", "keep_settling"]

log = logging.getLogger("gatewright.reply")

V = TypeVar("V")

Ending = Literal["completed", "failed", "abandoned"]


class Outcome(msgspec.Struct, Generic[V], frozen=True):
    """How a reply ended, with the value as far as it came and the error where it failed."""

    state: Ending
    value: V
    error: BaseException | None = None


Settled = Callable[[Outcome[Any]], Awaitable[None] | None]

# Settlements that outlive a cancelled reader: the loop itself keeps only weak references to tasks.
_settling: set[asyncio.Task[None]] = set()


def call_settled(callbacks: list[Settled], outcome: Outcome[Any]) -> asyncio.Task[None] | None:
    """Call `callbacks`, the last first; from the first that awaits on, a task of their own runs them."""
    awaitable = _call_until_one_awaits(callbacks, outcome)
    return None if awaitable is None else keep_settling(_run(callbacks, outcome, awaitable))


def keep_settling(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run `work` in a task that lives until it is done."""
    task = asyncio.get_running_loop().create_task(work)
    _settling.add(task)
    task.add_done_callback(_settling.discard)
    return task


def _call_until_one_awaits(callbacks: list[Settled], outcome: Outcome[Any]) -> Awaitable[None] | None:
    while callbacks:
        callback = callbacks.pop()
        try:
            awaitable = callback(outcome)
        except (Exception, asyncio.CancelledError):
            log.exception("settling a reply failed in %r", callback)
        else:
            if awaitable is not None:
                return awaitable
    return None


async def _run(callbacks: list[Settled], outcome: Outcome[Any], first: Awaitable[None]) -> None:
    awaitable: Awaitable[None] | None = first
    while awaitable is not None:
        try:
            await awaitable
        # What one callback waited for may have been cancelled: the others run all the same.
        except (Exception, asyncio.CancelledError):
            log.exception("settling a reply failed")
        awaitable = _call_until_one_awaits(callbacks, outcome)
