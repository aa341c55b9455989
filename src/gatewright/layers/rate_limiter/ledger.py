"""The ledger: a call is charged to every limit that applies to it, or to none, and settled exactly once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gatewright.layers.rate_limiter.bucket import SHORTEST_WAIT, Bucket
from gatewright.layers.rate_limiter.limit import SMOOTHING, UNLIMITED, Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet

__all__ = ["Reservation", "blocked_by", "try_reserve"]


class Reservation:
    """One call's charge: a request, `tokens` and a permit at every limit; whichever ending comes first counts."""

    __slots__ = ("_requests", "_since", "_tokens", "is_open", "limits", "tokens")

    def __init__(
        self,
        limits: Sequence[Limit],
        requests: Sequence[Bucket],
        token_buckets: Sequence[Bucket],
        tokens: float,
        now: float,
    ) -> None:
        self.tokens = tokens
        self.is_open = True
        # The limits charged; calls that wait for them may go when this ends.
        self.limits = limits
        self._requests = requests
        self._tokens = token_buckets
        self._since = now

    def settle(self, used_tokens: float | None, now: float) -> bool:
        """Charge what was really used: the rest is given back, or what is missing is owed.

        None is "nobody knows" (a crash): what was reserved stays charged. False if it had ended before.
        """
        if not self.is_open:
            return False
        self._release(now)
        if used_tokens is None:
            return True
        unused = self.tokens - used_tokens
        for bucket in self._tokens:
            # `Bucket.give_back`, written out.
            level = bucket.level
            if now > bucket.at:
                level += (now - bucket.at) * bucket.rate
                if level > bucket.burst:
                    level = bucket.burst
                bucket.at = now
            level += unused
            bucket.level = level if level < bucket.burst else bucket.burst
        return True

    def cancel(self, now: float) -> bool:
        """Take everything back, the request too: the call was never sent. False if it had ended before."""
        if not self.is_open:
            return False
        self._release(now)
        for bucket in self._tokens:
            bucket.give_back(self.tokens, now)
        for bucket in self._requests:
            bucket.give_back(1.0, now)
        return True

    def _release(self, now: float) -> None:
        self.is_open = False
        held_for = now - self._since
        for limit in self.limits:
            limit.in_flight -= 1
            if limit.most is not UNLIMITED:
                usual = limit.held_for
                limit.held_for = usual + (held_for - usual) * SMOOTHING if usual else held_for


def try_reserve(limits: Sequence[Limit], tokens: float, now: float) -> Reservation | float:
    """Charge one request of `tokens` to all `limits`, or give the seconds until there may be room and charge none.

    The wait is infinite where another call has to end first.
    """
    if type(limits) is LimitSet and limits.is_current:
        requests, token_buckets = limits.requests, limits.tokens
    else:
        requests = [limit.requests for limit in limits if limit.requests is not None]
        token_buckets = [limit.tokens for limit in limits if limit.tokens is not None]
    wait = 0.0
    for limit in limits:
        if limit.in_flight >= limit.most:
            return math.inf
        if limit.paused_until > now:
            wait = max(wait, SHORTEST_WAIT, limit.paused_until - now)
    for bucket in requests:
        # `Bucket.time_until`, written out for where there is room: this is done several times for every call.
        level = bucket.level
        if now > bucket.at:
            level += (now - bucket.at) * bucket.rate
            if level > bucket.burst:
                level = bucket.burst
            bucket.at, bucket.level = now, level
        if level < 1.0 and (missing := bucket.time_until(1.0, now)) > wait:
            wait = missing
    for bucket in token_buckets:
        level = bucket.level
        if now > bucket.at:
            level += (now - bucket.at) * bucket.rate
            if level > bucket.burst:
                level = bucket.burst
            bucket.at, bucket.level = now, level
        if level < tokens and (missing := bucket.time_until(tokens, now)) > wait:
            wait = missing
    if wait > 0.0:
        return wait
    for bucket in requests:
        bucket.level -= 1.0
    for bucket in token_buckets:
        bucket.level -= tokens
    for limit in limits:
        limit.in_flight += 1
    return Reservation(limits, requests, token_buckets, tokens, now)


def blocked_by(limits: Sequence[Limit], tokens: float, now: float) -> tuple[Limit, float] | None:
    """Give the limit that a call has to wait for longest, and the seconds; None if all have room."""
    longest: tuple[Limit, float] | None = None
    for limit in limits:
        wait = limit.time_until(tokens, now)
        if wait > 0.0 and (longest is None or wait > longest[1]):
            longest = (limit, wait)
    return longest
