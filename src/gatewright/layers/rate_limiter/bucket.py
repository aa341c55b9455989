"""A token bucket: refilled continuously, up to its burst, and below zero where more was used than was reserved."""

from __future__ import annotations

__all__ = ["SHORTEST_WAIT", "Bucket"]

ROUNDING = 2e-8
"""Seconds by which a bucket may be short, by rounding, after exactly the wait that it asked for."""
SHORTEST_WAIT = 1e-6
"""The shortest wait that surely moves a monotonic clock of many days on, in seconds."""


class Bucket:
    """Room for `rate` a second, `burst` at once; every `now` is monotonic seconds and does not go backwards.

    What it holds is kept as one number, the time at which it will be full again (the generic cell rate algorithm,
    ITU-T I.371): time refills it, without a hand. `each` is how many seconds one takes to be refilled, `depth` how
    many all of them take.

    The promise: whenever an amount within the burst is taken, what was charged over any window that ends there
    (taken, less given back, plus owed) is at most `burst + rate x window`. An amount above the burst is taken when
    the bucket is full, and the rest is owed: whoever comes next waits until the debt is paid.
    """

    __slots__ = ("burst", "depth", "each", "full_at", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.each = 1.0 / rate
        self.depth = burst / rate
        self.full_at = now

    def level(self, now: float) -> float:
        """Give what it holds; it is negative where something is owed."""
        missing = self.full_at - now
        return self.burst - missing * self.rate if missing > 0.0 else self.burst

    def time_until(self, amount: float, now: float) -> float:
        """Give the seconds until `amount` can be taken, if nobody else takes any; 0.0 is now."""
        wait = self.drain_time(amount if amount < self.burst else self.burst, now)
        return wait if wait > SHORTEST_WAIT or wait == 0.0 else SHORTEST_WAIT

    def take(self, amount: float, now: float) -> bool:
        """Take `amount` if there is room for it."""
        if self.time_until(amount, now) > 0.0:
            return False
        self.give_back(-amount, now)
        return True

    def give_back(self, amount: float, now: float) -> None:
        """Put back what was taken and not used; a negative amount is owed, whatever the level is."""
        full_at = self.full_at
        if amount < 0.0 and full_at < now:
            full_at = now
        self.full_at = full_at - amount * self.each

    def believe(self, level: float, now: float) -> None:
        """Take another's word for the level at `now`: of a bucket of which this is the mirror."""
        self.full_at = now + (self.burst - level) * self.each

    def drain_time(self, amount: float, now: float) -> float:
        """Give the seconds in which `amount`, of any size and in many parts, will have gone through."""
        full_at = self.full_at if self.full_at > now else now
        wait = full_at + amount * self.each - (now + self.depth)
        return wait if wait > ROUNDING else 0.0

    def hold(self, seconds: float, now: float) -> None:
        """Be refilled by nothing for so many seconds from `now`, which may be the end of such a time."""
        full_at = self.full_at
        self.full_at = (full_at if full_at > now else now) + seconds

    def correct(self, remaining: float, now: float) -> None:
        """Take a provider's word for what is left; only downwards, because the configured limit holds too."""
        if remaining < self.level(now):
            self.believe(remaining, now)

    def change(self, rate: float, burst: float, now: float) -> None:
        """Change the limit from `now` on; a raised burst is filled at the new rate, and debts stay."""
        level = min(self.level(now), burst)
        self.rate = rate
        self.burst = burst
        self.each = 1.0 / rate
        self.depth = burst / rate
        self.believe(level, now)

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new, so that forgetting it changes nothing."""
        return self.full_at <= now + ROUNDING
