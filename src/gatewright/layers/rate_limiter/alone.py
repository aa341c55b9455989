"""What a process lets through by itself while Redis does not answer, and how Redis is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewright.layers.rate_limiter.amendments import Amendments
from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.shared import SharedLedger, SharedPermit

__all__ = ["Alone"]


class Alone:
    """The ledger of the calls that were let through in one outage.

    When Redis is back each process has it charge what its calls took, so that those of all add up; down to nothing
    left at most: nobody waits for what was let through without it. What Redis forgave so is not given back to it.
    """

    def __init__(self, ledger: SharedLedger, amendments: Amendments) -> None:
        self._ledger = ledger
        self._amendments = amendments
        self._taken: dict[Limit, _Taken] = {}
        self._is_told = False
        self._forgiven: dict[str, tuple[float, float]] = {}

    def charge(self, got: Permit, now: float) -> None:
        """Take note of a call that the limits of this process let through just now, and charged."""
        for limit in got.limits:
            taken = self._taken.get(limit)
            if taken is None:
                self._taken[limit] = _Taken(limit, got.tokens)
            else:
                taken.take(1.0, got.tokens, now)

    def settled(self, permit: SharedPermit, requests: float, tokens: float) -> None:
        """Put back what such a call did not use, and its permit."""
        if self._is_told:
            for limit in permit.limits:
                self._amendments.give_back((limit,), *self._not_forgiven(limit, requests, tokens))
        else:
            now = self._ledger.giver.now()
            for limit in permit.limits:
                self._taken[limit].take(-requests, -tokens, now)
        self._ledger.settled(permit, 0.0, 0.0)

    def tell(self, now: float) -> None:
        """Have Redis charge all of it with what is sent to it next."""
        self._is_told = True
        for limit, taken in self._taken.items():
            self._amendments.charge(limit, *taken.missing(now), self)
        self._taken.clear()

    def forgive(self, limit: Limit, requests: float, tokens: float) -> None:
        """Hear how much Redis did not charge because nothing was left."""
        self._forgiven[limit.scope] = requests, tokens

    def _not_forgiven(self, limit: Limit, requests: float, tokens: float) -> tuple[float, float]:
        forgiven = self._forgiven.get(limit.scope)
        if forgiven is None:
            return requests, tokens
        of_requests = min(forgiven[0], max(0.0, requests))
        of_tokens = min(forgiven[1], max(0.0, tokens))
        self._forgiven[limit.scope] = forgiven[0] - of_requests, forgiven[1] - of_tokens
        return requests - of_requests, tokens - of_tokens


class _Taken:
    """What calls took from a limit: the difference between two of each of its buckets, one without these calls.

    Redis refills its own meanwhile. What would be in it already but for these calls they need not make up for.
    """

    __slots__ = ("_requests", "_tokens")

    def __init__(self, limit: Limit, tokens: float) -> None:
        self._requests = _with_and_without(limit.requests, 1.0)
        self._tokens = _with_and_without(limit.tokens, tokens)

    def take(self, requests: float, tokens: float, now: float) -> None:
        """Take more; below zero it is put back."""
        if self._requests is not None:
            self._requests[0].give_back(-requests, now)
        if self._tokens is not None:
            self._tokens[0].give_back(-tokens, now)

    def missing(self, now: float) -> tuple[float, float]:
        """Give the requests and tokens that are missing because of it."""
        return _missing(self._requests, now), _missing(self._tokens, now)


def _with_and_without(bucket: Bucket | None, taken: float) -> tuple[Bucket, Bucket] | None:
    if bucket is None:
        return None
    full_at = bucket.full_at
    return (
        Bucket(bucket.rate, bucket.burst, full_at),
        Bucket(bucket.rate, bucket.burst, full_at - taken * bucket.each),
    )


def _missing(pair: tuple[Bucket, Bucket] | None, now: float) -> float:
    return 0.0 if pair is None else max(0.0, pair[1].level(now) - pair[0].level(now))
