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
    tokens = float(tokens)  # as the levels are: the interpreter is slow with numbers of two kinds
    for limit in limits:
        if limit.in_flight >= limit.most or limit.paused_until > now:
            return _wait(limits, tokens, now)
    # Nearly always there is room: each bucket is charged in its turn, and what was charged is put back if one is short.
    # `Bucket.refill` is written out: this is done several times for every call.
    short: Bucket | None = None
    for bucket in limits.requests:
        level = bucket.level + (now - bucket.at) * bucket.rate
        if level > bucket.burst:
            level = bucket.burst
        bucket.at = now
        if level < 1.0:
            bucket.level = level
            short = bucket
            break
        bucket.level = level - 1.0
    else:
        for bucket in limits.tokens:
            level = bucket.level + (now - bucket.at) * bucket.rate
            if level > bucket.burst:
                level = bucket.burst
            bucket.at = now
            if level < tokens:
                bucket.level = level
                short = bucket
                break
            bucket.level = level - tokens
    if short is not None:
        _put_back(limits, tokens, short)
        wait = _wait(limits, tokens, now)
        if wait > 0.0:
            return wait
        # There is room all the same: by rounding, or for what is above a full bucket's burst.
        for bucket in limits.requests:
            bucket.level -= 1.0
        for bucket in limits.tokens:
            bucket.level -= tokens
    for limit in limits:
        limit.in_flight += 1
    return Permit(limits, tokens, now, giver, giver.era)


def _put_back(limits: LimitSet, tokens: float, short: Bucket) -> None:
    """Undo what was charged at those before `short`."""
    for amount, buckets in ((1.0, limits.requests), (tokens, limits.tokens)):
        for bucket in buckets:
            if bucket is short:
                return
            bucket.level += amount


def _wait(limits: Sequence[Limit], tokens: float, now: float) -> float:
    blocked = blocked_by(limits, tokens, now)
    return 0.0 if blocked is None else blocked[1]


def blocked_by(limits: Sequence[Limit], tokens: float, now: float) -> tuple[Limit, float] | None:
    """Give the limit that a call has to wait for longest, and the seconds; None if all have room."""
    longest: tuple[Limit, float] | None = None
    for limit in limits:
        wait = limit.time_until(tokens, now)
        if wait > 0.0 and (longest is None or wait > longest[1]):
            longest = (limit, wait)
    return longest
