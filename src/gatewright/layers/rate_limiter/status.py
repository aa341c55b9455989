"""Who waits for what, and what is left of each limit, to be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.outlook import outlook
from gatewright.layers.rate_limiter.waiter import Waiter

__all__ = ["LimitStatus", "QueueStatus", "WaitingCall", "limit_status", "queue_status"]


class WaitingCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that waits: `position` is its place among its tenant's calls for the same limits, from 1."""

    call_id: str
    tenant: str | None
    limit: str
    position: int
    waited: float
    expected_wait: float


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All calls that wait; a call counts in `by_limit` at the limit before which it stands. Times in seconds.

    One that waits for the first of several deployments stands before each, and is shown where it expects to go first.
    """

    length: int
    by_limit: dict[str, int]
    by_tenant: dict[str | None, int]
    calls: list[WaitingCall]


class LimitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit has left: requests and tokens (negative where some are owed), of at most their bursts.

    None is "not limited". `paused_for` is the seconds for which its provider asked to be left alone.
    """

    scope: str
    requests: float | None
    request_burst: float | None
    tokens: float | None
    token_burst: float | None
    in_flight: int
    max_concurrent: int | None
    waiting: int
    paused_for: float


def queue_status(waiters: Iterable[Waiter], now: float) -> QueueStatus:
    """Show who waits, each tenant's calls in their order."""
    waiting = list(waiters)
    lanes = dict.fromkeys(waiter.ticket.lane for waiter in waiting)
    calls: dict[object, WaitingCall] = {}
    for lane in lanes:
        for ticket, position, expected in outlook(lane, now):
            waiter: Waiter = ticket.call
            elsewhere = calls.get(waiter.future)
            if elsewhere is None or expected < elsewhere.expected_wait:
                calls[waiter.future] = _shown(waiter, position, expected, now)
    return QueueStatus(
        length=len(calls),
        by_limit=dict(Counter(waiter.scope for waiter in waiting)),
        by_tenant=dict(Counter(call.tenant for call in calls.values())),
        calls=list(calls.values()),
    )


def _shown(waiter: Waiter, position: int, expected: float, now: float) -> WaitingCall:
    return WaitingCall(
        call_id=waiter.claim.call_id,
        tenant=waiter.claim.tenant,
        limit=waiter.scope,
        position=position,
        waited=now - waiter.queued_at,
        expected_wait=expected,
    )


def limit_status(limit: Limit, waiting: int, now: float) -> LimitStatus:
    """Show what is left of a limit."""
    requests, tokens, flows = limit.requests, limit.tokens, limit.flows_from(now)
    return LimitStatus(
        scope=limit.scope,
        requests=_level(requests, flows),
        request_burst=requests.burst if requests is not None else None,
        tokens=_level(tokens, flows),
        token_burst=tokens.burst if tokens is not None else None,
        in_flight=limit.in_flight,
        max_concurrent=limit.config.max_concurrent,
        waiting=waiting,
        paused_for=flows - now,
    )


def _level(bucket: Bucket | None, now: float) -> float | None:
    """Give what a bucket holds, to a millionth: a clock cannot tell more."""
    return round(bucket.level(now), 6) if bucket is not None else None
