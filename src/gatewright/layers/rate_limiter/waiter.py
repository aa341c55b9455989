"""A call that waits for room, and until when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from gatewright.errors import GatewayError
from gatewright.layers.rate_limiter.fair_queue import Ticket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.permit import Claim, Permit
from gatewright.layers.rate_limiter.registry import Standing

__all__ = ["Rivals", "Waiter"]


class Rivals:
    """The `count` places of one call, and the refusals at those that it has lost; `complete` when all were taken."""

    __slots__ = ("complete", "count", "refusals", "waiters")

    def __init__(self, count: int, *waiters: Waiter) -> None:
        self.count = count
        self.waiters: list[Waiter] = list(waiters)
        self.refusals: list[GatewayError] = []
        self.complete = False


class Waiter:
    """One waiting call: `future` gets its `permit`, or the error that ends its waiting; it expires at `expires`.

    A call that waits at several deployments at once, of which it gets one, is a waiter at each: these are `rivals`.
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
        "rivals",
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
        rivals: Rivals | None = None,
    ) -> None:
        self.claim = claim
        self.limits = limits
        self.standing = standing
        self.queued_at = now
        self.future = future
        self.permit: Permit | None = None
        self.rivals = rivals
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
    def places(self) -> Sequence[Waiter]:
        """Itself, and its call's other places."""
        return (self,) if self.rivals is None else self.rivals.waiters

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
