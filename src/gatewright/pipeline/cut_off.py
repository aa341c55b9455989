"""Attempts that end from outside, while a provider is at work on them."""

from __future__ import annotations

import asyncio

from gatewright.errors import CallCancelled, DeadlineExceeded
from gatewright.pipeline.call import Call

__all__ = ["mark_as_unasked", "note_attempts", "reason_of", "was_asked"]

SAME_TIME = 0.02
"""Seconds by which a deadline's timer may come too early: some loops look at the clock once a turn."""


def mark_as_unasked(error: BaseException) -> None:
    """Have it known that what was cancelled had not come to a provider yet."""
    error.asked = False  # type: ignore[attr-defined]


def note_attempts(error: BaseException, attempts: int) -> None:
    """Have it known how many attempts a call had made before it was cancelled."""
    error.attempts = attempts  # type: ignore[attr-defined]


def was_asked(error: BaseException) -> bool:
    """Whether any provider was asked for a call that ended in `error`."""
    return bool(getattr(error, "asked", True) or getattr(error, "attempts", 0))


def reason_of(error: BaseException, call: Call, now: float) -> DeadlineExceeded | CallCancelled | None:
    """Give what a cancellation means to the provider that was asked; None where none was, or it is none."""
    if not isinstance(error, asyncio.CancelledError) or not getattr(error, "asked", True):
        return None
    if call.deadline is not None and now >= call.deadline - SAME_TIME:
        return DeadlineExceeded("the provider did not answer before the call's deadline")
    return CallCancelled("the call was cancelled before the provider answered")
