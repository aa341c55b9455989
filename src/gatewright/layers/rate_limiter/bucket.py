"""A token bucket: refilled continuously, up to its burst, and below zero where more was used than was reserved."""

from __future__ import annotations

__all__ = ["Bucket"]

# Rounding leaves a bucket short by less than this after exactly the wait that it asked for.
ROUNDING = 1e-6
# And the shortest wait that surely moves a monotonic clock of many days on.
SHORTEST_WAIT = 1e-6


class Bucket:
    """Room for `rate` a second, `burst` at once; every `now` is monotonic seconds and does not go backwards.

    `level` is what it held `at` that time.

    The promise: whenever an amount within the burst is taken, what was charged over any window that ends there
    (taken, less given back, plus owed) is at most `burst + rate x window`. An amount above the burst is taken when
    the bucket is full, and the rest is owed: whoever comes next waits until the debt is paid.
    """

    __slots__ = ("_paused_until", "at", "burst", "level", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.level = burst
        self.at = now
        self._paused_until = now

    def refill(self, now: float) -> float:
        """Bring the level up to `now` and give it; it is negative where something is owed."""
        elapsed = now - self.at
        if elapsed > 0.0:
            self.at = now
            level = self.level + elapsed * self.rate
            self.level = level if level < self.burst else self.burst
        return self.level

    def time_until(self, amount: float, now: float) -> float:
        """Give the seconds until `amount` can be taken, if nobody else takes any; 0.0 is now."""
        # `refill`, written out: this is asked several times for every call.
        elapsed = now - self.at
        level = self.level
        burst = self.burst
        if elapsed > 0.0:
            self.at = now
            level += elapsed * self.rate
            self.level = level = level if level < burst else burst
        missing = (amount if amount < burst else burst) - level
        if missing <= ROUNDING and now >= self._paused_until:
            return 0.0
        wait = missing / self.rate if missing > ROUNDING else 0.0
        if now < self._paused_until:
            wait += self._paused_until - now
        return wait if wait > SHORTEST_WAIT else SHORTEST_WAIT

    def take(self, amount: float, now: float) -> bool:
        """Take `amount` if there is room for it."""
        if self.time_until(amount, now) > 0.0:
            return False
        self.level -= amount
        return True

    def give_back(self, amount: float, now: float) -> None:
        """Put back what was taken and not used; a negative amount is owed, whatever the level is."""
        level = self.refill(now) + amount
        self.level = level if level < self.burst else self.burst

    def believe(self, level: float, now: float) -> None:
        """Take another's word for the level at `now`: of a bucket of which this is the mirror."""
        if now > self.at:
            self.at = now
        self.level = level if level < self.burst else self.burst

    def drain_time(self, amount: float, now: float) -> float:
        """Give the seconds in which `amount`, of any size and in many parts, will have gone through."""
        missing = amount - self.refill(now)
        wait = missing / self.rate if missing > 0.0 else 0.0
        return wait + max(0.0, self._paused_until - now)

    def pause_until(self, time: float, now: float) -> None:
        """Let nothing through, and refill nothing, until `time`; a longer pause is never shortened."""
        self.refill(now)
        self._paused_until = max(self._paused_until, time)
        self.at = max(self.at, time)

    def correct(self, remaining: float, now: float) -> None:
        """Take a provider's word for what is left; only downwards, because the configured limit holds too."""
        self.level = min(self.refill(now), max(0.0, remaining))

    def change(self, rate: float, burst: float, now: float) -> None:
        """Change the limit from `now` on; a raised burst is filled at the new rate, and debts stay."""
        self.level = min(self.refill(now), burst)
        self.rate = rate
        self.burst = burst

    def is_full(self, now: float) -> bool:
        """Whether it is as good as new, so that forgetting it changes nothing."""
        return self.refill(now) >= self.burst and now >= self._paused_until
