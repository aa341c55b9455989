"""A limit: what one tenant, model, deployment or key may use, in requests, tokens and calls at once."""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

from gatewright.layers.rate_limiter.bucket import SHORTEST_WAIT, Bucket
from gatewright.layers.rate_limiter.config import RateLimitConfig

__all__ = ["NOBODY", "UNLIMITED", "Limit", "Others"]

UNLIMITED = sys.maxsize
"""As many as there can be: a whole number, because the interpreter compares it fast with another."""

# Once in thirty thousand years: as good as never, and still a number that can be divided by.
SLOWEST = 1e-12
# How much of the newest call's duration goes into the average.
SMOOTHING = 0.1


class Others(NamedTuple):
    """How many other processes have how many calls that wait for a limit, as far as is known until then."""

    processes: float
    calls: float
    until: float


NOBODY = Others(0.0, 0.0, -math.inf)


class Limit:
    """The buckets and permits of one scope, such as `"tenant:acme"`.

    `shared` says whether several tenants use it, which decides who may be held up by whoever waits for it.
    `most` is how many calls may be under way now: none while it is paused, `UNLIMITED` where nothing limits that.
    `held_for` is the seconds that one usually is; they are taken in when one ends beside `busy` others or more, because
    only then somebody may have to wait for that. `pinned` counts the queues that refer to it: while there are any, it
    must not be forgotten. Nothing passes before `paused_until`, whatever the limit is made of.
    """

    __slots__ = (
        "_most",
        "busy",
        "config",
        "held_for",
        "in_flight",
        "max_waiting",
        "most",
        "others",
        "paused_until",
        "pinned",
        "requests",
        "scope",
        "shared",
        "tokens",
    )

    def __init__(self, scope: str, config: RateLimitConfig, now: float, *, shared: bool = False) -> None:
        self.scope = scope
        self.shared = shared
        self.config = config
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        self.in_flight = 0
        self.pinned = 0
        self.paused_until = -math.inf
        self.held_for = 0.0
        self.others = NOBODY
        self.change(config, now)

    def __repr__(self) -> str:
        return f"<Limit {self.scope}>"

    def __str__(self) -> str:
        return f"the limit {self.scope.removesuffix(':')}"

    def change(self, config: RateLimitConfig, now: float) -> None:
        """Apply another configuration from `now` on, also to those who wait."""
        self.config = config
        self.max_waiting = config.max_queue_size
        self._most = UNLIMITED if config.max_concurrent is None else config.max_concurrent
        self.most = 0 if self.paused_until > now else self._most
        self._learn_when_busy()
        flows = self.flows_from(now)
        self.requests = _changed(self.requests, config.requests_per_minute, config.request_burst, flows)
        self.tokens = _changed(self.tokens, config.tokens_per_minute, config.token_burst, flows)

    def time_until(self, tokens: float, now: float) -> float:
        """Give the seconds until a call of `tokens` can go; infinity where another call has to end first."""
        wait = 0.0
        if self.in_flight >= self._most:
            return math.inf
        if self.paused_until > now:
            wait = max(SHORTEST_WAIT, self.paused_until - now)
        else:
            self.most = self._most  # whoever finds it closed asks here
        if self.requests is not None:
            wait = max(wait, self.requests.time_until(1.0, now))
        if self.tokens is not None:
            wait = max(wait, self.tokens.time_until(tokens, now))
        return wait

    def ended(self, held_for: float) -> None:
        """Take note that a call ended that was under way for so long."""
        self.in_flight -= 1
        if self.in_flight >= self.busy:
            self.was_held(held_for)

    def was_held(self, seconds: float) -> None:
        """Take in for how long a call was under way."""
        usual = self.held_for or seconds
        self.held_for = usual + (seconds - usual) * SMOOTHING
        self._learn_when_busy()

    def _learn_when_busy(self) -> None:
        # One that ends when half of the places are taken; and the first of all, to have something to begin with.
        self.busy = self._most // 2 if self.held_for or self._most is UNLIMITED else 0

    def drain_time(self, calls: float, tokens: float, now: float, last: float = 0.0) -> float:
        """Give the seconds in which `calls` calls of `tokens` in all will have begun, as far as can be told.

        The last is of `last` tokens: one above the burst begins when the bucket is full. Where other processes' calls
        wait, too, each of these has a turn for each of ours.
        """
        others = self.others
        if others.until > now and calls > 0.0:
            turns = 1.0 + min(others.processes, others.calls / calls)
            calls *= turns
            tokens *= turns
        # Asked for every call that gets in line, and so without `max`.
        longest = self.paused_until - now
        if longest < 0.0:
            longest = 0.0
        if self.requests is not None:
            wait = self.requests.drain_time(calls, now)
            if wait > longest:
                longest = wait
        if (bucket := self.tokens) is not None:
            above = last - bucket.burst
            wait = bucket.drain_time(tokens if above <= 0.0 else tokens - above, now)
            if wait > longest:
                longest = wait
        most = self._most
        if most is not UNLIMITED:
            wait = (self.in_flight + calls - most) * self.held_for / most
            if wait > longest:
                longest = wait
        return longest

    def flows_from(self, now: float) -> float:
        """Give the time from which its buckets are refilled, and for which they are to be asked: a pause's end."""
        return now if now >= self.paused_until else self.paused_until

    def pause_until(self, time: float, now: float) -> None:
        """Obey a provider's `Retry-After`: nothing until `time`, then one request and on from there by the rate.

        A longer pause is never shortened.
        """
        flows = self.flows_from(now)
        if time <= flows:
            return
        self.paused_until = time
        self.most = 0
        if self.requests is not None:
            self.requests.correct(1.0, flows)
        for bucket in (self.requests, self.tokens):
            if bucket is not None:
                bucket.hold(time - flows, flows)

    def correct(self, now: float, *, requests: float | None = None, tokens: float | None = None) -> None:
        """Take the word of `x-ratelimit-remaining-*` headers for what is left."""
        flows = self.flows_from(now)
        if requests is not None and self.requests is not None:
            self.requests.correct(requests, flows)
        if tokens is not None and self.tokens is not None:
            self.tokens.correct(tokens, flows)

    def is_idle(self, now: float) -> bool:
        """Whether nobody uses it and its buckets are full, so that a new one would be the same."""
        return (
            not self.in_flight
            and not self.pinned
            and now >= self.paused_until
            and (self.requests is None or self.requests.is_full(now))
            and (self.tokens is None or self.tokens.is_full(now))
        )


def _changed(bucket: Bucket | None, per_minute: float | None, burst: float, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    rate = max(SLOWEST, per_minute / 60.0)
    if bucket is None:
        return Bucket(rate, burst, now)
    bucket.change(rate, burst, now)
    return bucket
