"""How the head of a line asks Redis: one question at a time in each line, and again when there may be room."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.layers.rate_limiter.waiter import Waiter

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.shared import Refusal, SharedLedger

__all__ = ["Asking"]

# What others give back is not heard of: whoever waits long asks again after this many seconds.
AGAIN_AFTER = 0.25
AGAIN_AFTER_FOR_PERMITS = 0.05
# So that the processes do not all ask at the same moment, always in the same order.
JITTER = 0.005


class Asking:
    """Decides for the waiting room whether a call can go, by the shared ledger.

    While the question is under way the call stays where it stands, and so does everyone behind it.
    """

    def __init__(
        self,
        ledger: SharedLedger,
        now: Callable[[], float],
        wake: Callable[[Limit], None],
        waits: Callable[[Waiter], bool],
        waiting_for: Callable[[Limit], int],
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._wake = wake
        self._waits = waits
        self._waiting_for = waiting_for

    def reserve(self, waiter: Waiter, now: float) -> Refusal | None:
        """Say that a call has its room (None), or which limit keeps it for how many seconds."""
        if waiter.permit is not None:
            return None
        gate = _standing_at(waiter)
        if waiter.asking:
            return gate, math.inf
        refused = waiter.refused
        # What this process decides by itself is asked anew whenever a call ends.
        if refused is not None and refused[1] > now and refused[0] in waiter.limits.all and self._ledger.is_shared:
            return refused[0], refused[1] - now
        self._ask(waiter, gate)
        if waiter.asking:
            return gate, math.inf
        # It was answered at once: Redis does not answer, and the limits of this process decided.
        refused = waiter.refused
        return None if refused is None else (refused[0], max(0.0, refused[1] - now))

    def again_at(self, refusal: Refusal) -> tuple[Limit, float]:
        """Give the limit, and the time at which to ask again."""
        limit, wait = refusal
        longest = AGAIN_AFTER if wait < math.inf else AGAIN_AFTER_FOR_PERMITS
        # Where this process decides by itself, the end of a call is heard of.
        if not self._ledger.is_shared:
            longest = math.inf
        return limit, self._now() + min(wait, longest) + random.random() * JITTER

    def _ask(self, waiter: Waiter, gate: Limit) -> None:
        limits = waiter.limits
        under_way = False

        def answered(got: Permit | Refusal) -> None:
            waiter.asking = False
            if not self._waits(waiter) or waiter.limits is not limits:
                if isinstance(got, Permit):
                    got.undo(self._now())
            elif isinstance(got, Permit):
                waiter.permit = got
            else:
                waiter.refused = self.again_at(got)
            if under_way:
                self._wake(gate)

        waiter.asking = True
        waiter.refused = None
        self._ledger.ask(limits, waiter.claim.tokens, answered, self._waiting_for)
        under_way = waiter.asking


def _standing_at(waiter: Waiter) -> Limit:
    """Give the limit before which a call stands while it asks.

    Where it was refused last, or the outermost that others share: whoever is behind it there does not ask meanwhile.
    """
    refused = waiter.refused
    if refused is not None and refused[0] in waiter.limits.all:
        return refused[0]
    return next((limit for limit in waiter.limits.all if limit.shared), waiter.limits.all[0])
