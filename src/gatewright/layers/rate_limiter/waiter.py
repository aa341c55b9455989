"""A call that waits for room, until when, and the words of its refusal."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from gatewright.errors import DeadlineExceeded, GatewayError, RateLimited
from gatewright.layers.rate_limiter.fair_queue import Ticket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.permit import Claim, Permit
from gatewright.layers.rate_limiter.registry import Standing

__all__ = ["Waiter", "cannot_wait", "displaced", "known_wait", "too_late", "waited_too_long"]

# What is said where nobody can tell: no call has ended yet at a limit of calls at once.
UNKNOWN_WAIT = 1.0


class Waiter:
    """One waiting call: `future` gets its `permit`, or the error that ends its waiting; it expires at `expires`.

    Where limits are shared by processes: `asking` says that the question is under way, `refused` which limit had no
    room, and when to ask again.
    """

    __slots__ = (
        "asking",
        "claim",
        "expires",
        "future",
        "limits",
        "permit",
        "queued_at",
        "refused",
        "standing",
        "ticket",
    )

    ticket: Ticket

    def __init__(
        self,
        claim: Claim,
        limits: LimitSet,
        standing: Standing,
        now: float,
        future: asyncio.Future[Permit],
    ) -> None:
        self.claim = claim
        self.limits = limits
        self.standing = standing
        self.queued_at = now
        self.future = future
        self.permit: Permit | None = None
        self.asking = False
        self.refused: tuple[Limit, float] | None = None
        self.expires = self.last_moment()

    def last_moment(self) -> float:
        """Give the time until which it may wait: the shortest `queue_timeout` from its arrival, or its deadline."""
        patience = self.limits.patience
        until = self.queued_at + patience if patience < math.inf else self.queued_at
        deadline = self.claim.deadline
        return until if deadline is None or deadline > until else deadline

    @property
    def waits_for(self) -> Limit | None:
        """The limit before which it stands."""
        line = self.ticket.lane.parked_at
        return line.gate if line is not None and isinstance(line.gate, Limit) else None

    @property
    def scope(self) -> str:
        """The name of that limit."""
        limit = self.waits_for or (self.limits.all[0] if self.limits.all else None)
        return limit.scope if limit is not None else ""


def _place(waiter: Waiter) -> str:
    return f"the limit {waiter.scope.removesuffix(':')}"


def known_wait(wait: float | None) -> float:
    """Give the seconds to name as `retry_after`."""
    return wait if wait is not None and 0.0 < wait < math.inf else UNKNOWN_WAIT


def _refused(claim: Claim, reason: str, wait: float) -> RateLimited:
    """Make the refusal of a call that may come back after `wait` seconds."""
    known = known_wait(wait)
    error = RateLimited(
        f"{reason}; try again in {known:.1f} s", model=claim.model, request_id=claim.call_id, retry_after=known
    )
    error.asked = False
    return error


def cannot_wait(claim: Claim, limit: Limit, wait: float) -> RateLimited:
    """Word the refusal by a limit for which calls do not wait."""
    return _refused(claim, f"{limit} is reached, and calls do not wait for it", wait)


def too_late(claim: Claim, scopes: Sequence[str], wait: float) -> RateLimited:
    """Word the refusal of a call that would wait past its time."""
    places = ", ".join(scope.removesuffix(":") for scope in scopes)
    return _refused(claim, f"the call would wait {wait:.1f} s for {places}, and has less time", wait)


def displaced(waiter: Waiter, wait: float) -> RateLimited:
    """Word the refusal of a call whose place in a full queue goes to a tenant that has fewer there."""
    return _refused(waiter.claim, f"the queue of {_place(waiter)} is full, and this tenant has most of it", wait)


def waited_too_long(waiter: Waiter, wait: float, now: float) -> GatewayError:
    """Word the end of a waiting that took too long; `wait` is what it would take from the back of the queue."""
    claim, waited = waiter.claim, now - waiter.queued_at
    if claim.deadline is None or now < claim.deadline:
        return _refused(claim, f"the call waited {waited:.1f} s for {_place(waiter)} in vain", wait)
    error = DeadlineExceeded(
        f"the deadline passed while the call waited {waited:.1f} s for {_place(waiter)}",
        model=claim.model,
        request_id=claim.call_id,
    )
    error.asked = False
    return error
