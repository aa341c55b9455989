"""Who may not wait, or no longer, and the words in which each is told."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gatewright.errors import DeadlineExceeded, GatewayError, RateLimited
from gatewright.layers.rate_limiter.lanes import Lane
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.outlook import expected_wait, is_certain_by, outlook
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.layers.rate_limiter.waiter import Waiter

__all__ = ["cannot_wait", "displaced", "hopeless", "known_wait", "late", "too_late", "waited_too_long"]

# What is said where nobody can tell: no call has ended yet at a limit of calls at once.
UNKNOWN_WAIT = 1.0


def hopeless(waiter: Waiter, now: float) -> GatewayError | None:
    """Say why a call that has just come cannot make it in time; None where it can."""
    claim = waiter.claim
    paused = [limit.scope for limit in waiter.limits.all if limit.paused_until > waiter.expires]
    if not paused and (claim.deadline is None or is_certain_by(waiter.ticket, claim.deadline - now, now)):
        return None
    expected = expected_wait(waiter.ticket, now)
    if paused or (claim.deadline is not None and now + expected > claim.deadline):
        return too_late(claim, paused or [limit.scope for limit in waiter.limits.all], expected)
    return None


def late(lane: Lane, now: float) -> list[tuple[Waiter, GatewayError]]:
    """Give those in a lane who cannot make their deadline any more; whoever is behind them comes earlier."""
    found: list[tuple[Waiter, GatewayError]] = []
    before = sooner = 0.0
    for ticket, _, expected in outlook(lane, now):
        waiter: Waiter = ticket.call
        deadline, wait = waiter.claim.deadline, expected - sooner
        if deadline is not None and now + wait > deadline:
            found.append((waiter, too_late(waiter.claim, [limit.scope for limit in waiter.limits.all], wait)))
            sooner += expected - before
        before = expected
    return found


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
