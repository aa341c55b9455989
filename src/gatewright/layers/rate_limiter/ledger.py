"""The ledger: a call is charged to every limit that applies to it, or to none, and settled exactly once."""

from __future__ import annotations

from collections.abc import Sequence

from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.permit import Giver, NoGiver, Permit

__all__ = ["blocked_by", "try_reserve"]

NOBODY = NoGiver()


def try_reserve(limits: Sequence[Limit], tokens: float, now: float, giver: Giver = NOBODY) -> Permit | float:
    """Charge one request of `tokens` to all `limits`, or give the seconds until there may be room and charge none.

    The wait is infinite where another call has to end first. `giver` is told when the permit ends.
    """
    if type(limits) is not LimitSet or not limits.is_current:
        limits = LimitSet(limits)
    for limit in limits.all:
        under_way = limit.in_flight
        if under_way >= limit.most:
            return _reserve_with_care(limits, tokens, now, giver, full=limit)
        limit.in_flight = under_way + 1
    # Nearly always there is room: each bucket is charged in its turn, and what was charged is put back if one is short.
    # `Bucket.take` is written out: this is done several times for every call.
    for bucket in limits.requests:
        full_at = bucket.full_at
        if full_at < now:
            bucket.full_at = now + bucket.each
        else:
            full_at += bucket.each
            if full_at > now + bucket.depth:
                return _reserve_with_care(limits, tokens, now, giver, short=bucket)
            bucket.full_at = full_at
    for bucket in limits.tokens:
        full_at = bucket.full_at
        full_at = (full_at if full_at > now else now) + tokens * bucket.each
        if full_at > now + bucket.depth:
            return _reserve_with_care(limits, tokens, now, giver, short=bucket)
        bucket.full_at = full_at
    return Permit(limits, tokens, now, giver, giver.era)


def _reserve_with_care(
    limits: LimitSet, tokens: float, now: float, giver: Giver, *, full: Limit | None = None, short: Bucket | None = None
) -> Permit | float:
    """Do it where there may be no room: at a limit that is `full`, or in a bucket that is `short`.

    What is before that is charged already, and is put back first.
    """
    for limit in limits.all:
        if limit is full:
            break
        limit.in_flight -= 1
    if short is not None:
        _put_back(limits, tokens, short)
    blocked = blocked_by(limits, tokens, now)
    if blocked is not None:
        return blocked[1]
    # There is room all the same: a pause is over, it was rounding, or it is for what is above a full bucket's burst.
    for bucket in limits.requests:
        bucket.give_back(-1.0, now)
    for bucket in limits.tokens:
        bucket.give_back(-tokens, now)
    for limit in limits.all:
        limit.in_flight += 1
    return Permit(limits, tokens, now, giver, giver.era)


def _put_back(limits: LimitSet, tokens: float, short: Bucket) -> None:
    for amount, buckets in ((1.0, limits.requests), (tokens, limits.tokens)):
        for bucket in buckets:
            if bucket is short:
                return
            bucket.full_at -= amount * bucket.each


def blocked_by(limits: Sequence[Limit], tokens: float, now: float) -> tuple[Limit, float] | None:
    """Give the limit that a call has to wait for longest, and the seconds; None if all have room."""
    longest: tuple[Limit, float] | None = None
    for limit in limits:
        wait = limit.time_until(tokens, now)
        if wait > 0.0 and (longest is None or wait > longest[1]):
            longest = (limit, wait)
    return longest
