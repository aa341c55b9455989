"""The circuit breaker's state machine."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Literal

import msgspec

from gatewright.errors import GatewayError
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.faults import is_fault, is_rate_limit, is_silence
from gatewright.layers.circuit_breaker.window import SlidingWindow

__all__ = ["Breaker", "BreakerStatus", "Reason", "State", "Transition"]

State = Literal["closed", "open", "half_open"]
Reason = Literal["failures", "failure_rate", "probe", "probes_due", "recovered", "by_hand", "elsewhere"]
REFUSED = 0


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state; `open_until` is when the first probe may go (infinity: when someone closes it by hand)."""

    before: State
    after: State
    at: float
    reason: Reason
    open_until: float | None = None


class BreakerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a breaker looks like now; the counts are those of the sliding window."""

    state: State
    failures_in_a_row: int
    failed: int
    succeeded: int
    openings: int
    next_probe_at: float | None


class Breaker:
    """Closed, open or half open. Every call that is let through has a pass, and its outcome is told with that pass.

    A pass is a number, and `0` is a refusal. It is valid until the state changes next: what calls of an earlier
    state report is too late to matter, so a straggler neither opens a breaker again nor passes for a probe. While the
    `state` is closed, the pass is the `generation`, for everyone.

    `on_probe_end`, if it is set, hears of each probe that ended and changed nothing, and whether it went well: where
    processes share their breakers, they add up.
    """

    __slots__ = (
        "_closed_at",
        "_config",
        "_fruitless_since",
        "_in_a_row",
        "_last_probe_at",
        "_on_change",
        "_open_until",
        "_openings",
        "_probes",
        "_probes_from",
        "_random",
        "_recovered",
        "_window",
        "generation",
        "on_probe_end",
        "state",
    )

    def __init__(
        self,
        config: CircuitBreakerConfig,
        on_change: Callable[[Transition], None] | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.state: State = "closed"
        self._config = config
        self._on_change = on_change
        self._random = random
        self._window = SlidingWindow(config.window)
        self.generation = 1
        self._in_a_row = 0
        self._fruitless_since: float | None = None
        self._open_until = -math.inf
        self._openings = 0
        self._closed_at = -math.inf
        self._probes = 0
        self._recovered = 0
        self._last_probe_at = -math.inf
        self._probes_from = -math.inf
        self.on_probe_end: Callable[[bool], None] | None = None

    @property
    def open_until(self) -> float:
        """The time until which it lets nothing through; infinity where someone opened it by hand."""
        return self._open_until

    @property
    def openings(self) -> int:
        """How often it opened lately."""
        return self._openings

    @property
    def probes(self) -> int:
        """How many probes are under way."""
        return self._probes

    @property
    def most_probes(self) -> int:
        """How many there may be at once."""
        return self._config.half_open_probes

    @property
    def silent_at(self) -> float:
        """The time at which the probes under way are given up if nothing was heard of them."""
        return self._last_probe_at + self._config.probe_timeout

    def allow(self, now: float) -> int:
        """Give a pass for one call, or 0."""
        if self.state == "closed":
            return self.generation
        if now < self._open_until or now < self._probes_from:
            return REFUSED
        if self.state == "open":
            self._change("half_open", now, "probes_due")
        if self._probes >= self._config.half_open_probes and not self._give_up_probes(now):
            return REFUSED
        self._probes += 1
        self._last_probe_at = now
        return self.generation

    def record_success(self, permit: int, now: float) -> None:
        """Say that the call with this pass was answered."""
        if permit != self.generation:
            return
        self._in_a_row = 0
        self._fruitless_since = None
        if self.state == "closed":
            window = self._window
            if now >= window.ends:
                window.advance(now)
            window.succeeded += 1  # `SlidingWindow.add`, written out: nearly every call ends here
            return
        self._probes -= 1
        self._recovered += 1
        if self._recovered >= self._config.success_threshold:
            self._close(now, "recovered")
        elif self.on_probe_end is not None:
            self.on_probe_end(True)

    def record_failure(self, permit: int, error: BaseException, now: float) -> None:
        """Say that the call with this pass failed; what is not the deployment's fault is no verdict on it."""
        if permit != self.generation:
            return
        if not self._counts(error, now):
            self.probe_abandoned(permit)
        elif self.state == "half_open":
            self._open(now, "probe", error)
        else:
            self._in_a_row += 1
            self._window.add(failed=True, now=now)
            self._judge(error, now)

    def probe_abandoned(self, permit: int) -> None:
        """Say that the call with this pass ended without an outcome; another probe may go in its place."""
        if permit == self.generation and self.state == "half_open":
            self._probes -= 1
            if self.on_probe_end is not None:
                self.on_probe_end(False)

    def probe_refused(self, permit: int, until: float) -> None:
        """Take the pass of a probe back before it went, and let no other go until then."""
        if permit == self.generation and self.state == "half_open":
            self._probes -= 1
            self._probes_from = until

    def next_probe_at(self, now: float) -> float | None:
        """Give the time from which a call is let through for certain; None while it is closed."""
        if self.state == "closed":
            return None
        if self.state == "open":
            return max(now, self._open_until, self._probes_from)
        if self._probes < self._config.half_open_probes:
            return max(now, self._probes_from)
        return max(now, self.silent_at)

    def open_by_hand(self, now: float) -> None:
        """Let nothing through until it is closed or reset by hand."""
        self._open_until = math.inf
        self._change("open", now, "by_hand")

    def close_by_hand(self, now: float) -> None:
        """Let everything through again; how often it opened lately is remembered."""
        self._close(now, "by_hand")

    def reset(self, now: float) -> None:
        """Make it as new."""
        self._close(now, "by_hand")
        self._openings = 0
        self._closed_at = -math.inf

    def open_elsewhere(self, until: float, openings: int, now: float) -> None:
        """Follow another process, in which it opened until then, for so many times lately."""
        self._open_until = until
        self._openings = max(self._openings, openings)
        if self.state != "open":
            self._change("open", now, "elsewhere")

    def close_elsewhere(self, now: float) -> None:
        """Follow another process, in which it closed."""
        self._close(now, "elsewhere")

    def succeeded_elsewhere(self, probes: int, now: float) -> None:
        """Hear how many probes went well in all processes since it opened, those of this one too."""
        if self.state == "half_open":
            self._recovered = probes
            if probes >= self._config.success_threshold:
                self._close(now, "recovered")

    def change(self, config: CircuitBreakerConfig) -> None:
        """Apply another configuration; the state stays, the sliding window starts anew if its length changed."""
        if config.window != self._config.window:
            self._window = SlidingWindow(config.window)
        self._config = config

    def status(self, now: float) -> BreakerStatus:
        """Describe it."""
        self._window.advance(now)
        return BreakerStatus(
            state=self.state,
            failures_in_a_row=self._in_a_row,
            failed=self._window.failed,
            succeeded=self._window.succeeded,
            openings=self._openings,
            next_probe_at=self.next_probe_at(now),
        )

    def _counts(self, error: BaseException, now: float) -> bool:
        if is_fault(error):
            self._fruitless_since = None
            return True
        if is_rate_limit(error):
            persistence = self._config.rate_limit_persistence
        elif is_silence(error):
            persistence = self._config.deadline_persistence
        else:
            return False
        if self._fruitless_since is None:
            self._fruitless_since = now
        return now - self._fruitless_since >= persistence

    def _judge(self, error: BaseException, now: float) -> None:
        window, config = self._window, self._config
        if self._in_a_row >= config.failure_threshold:
            self._open(now, "failures", error)
        elif window.total >= config.minimum_calls and window.failed >= config.failure_rate * window.total:
            self._open(now, "failure_rate", error)

    def _open(self, now: float, reason: Reason, error: BaseException) -> None:
        config = self._config
        if self.state == "closed" and now - self._closed_at > config.window:
            self._openings = 0
        # 2 ** 30 is beyond every cap, and beyond it a float would overflow in the end.
        longer = config.timeout * 2.0 ** min(self._openings, 30)
        asked = error.retry_after if isinstance(error, GatewayError) else None
        seconds = max(longer * (1.0 + config.jitter * self._random()), asked or 0.0)
        self._openings += 1
        self._open_until = max(self._open_until, now + min(seconds, config.longest_open_time))
        self._change("open", now, reason)

    def _close(self, now: float, reason: Reason) -> None:
        self._open_until = self._probes_from = -math.inf
        self._closed_at = now
        self._fruitless_since = None
        self._window.clear()
        self._change("closed", now, reason)

    def _give_up_probes(self, now: float) -> bool:
        """Whether the probes under way have been silent for so long that others may go."""
        if now < self.silent_at:
            return False
        self.generation += 1
        self._probes = 0
        return True

    def _change(self, after: State, now: float, reason: Reason) -> None:
        before, self.state = self.state, after
        self.generation += 1
        self._probes = 0
        self._recovered = 0
        self._in_a_row = 0
        if self._on_change is not None and before != after:
            until = self._open_until if after == "open" else None
            self._on_change(Transition(before=before, after=after, at=now, reason=reason, open_until=until))
