"""When a call is made again that shared another's, which failed for what was that one's own affair."""

from __future__ import annotations

from gatewright.errors import CallCancelled, DeadlineExceeded, GatewayError, RateLimited, StreamInterrupted
from gatewright.pipeline.call import Call

__all__ = ["waited_for_another", "was_cut_short"]

MORE_TIME = 0.1
"""Seconds that a caller must have beyond the one whose call it shared, to try again what failed for want of time."""


def waited_for_another(error: GatewayError) -> bool:
    """Whether a limit of ours refused another, who had waited for longer."""
    return isinstance(error, RateLimited) and not error.asked and not error.attempts


def was_cut_short(error: GatewayError, deadline: float | None, mine: Call) -> bool:
    """Whether a call with that deadline failed for want of time, or for its leader's leaving, that `mine` still has."""
    if isinstance(error, CallCancelled):
        return True
    if deadline is None or isinstance(error, StreamInterrupted):
        return False
    more_time = mine.deadline is None or mine.deadline > deadline + MORE_TIME
    return more_time and (isinstance(error, DeadlineExceeded) or error.retryable)
