"""When a circuit breaker opens, for how long, and what closes it."""

from __future__ import annotations

from pydantic import Field

from gatewright.types.configuration import Config

__all__ = ["CircuitBreakerConfig"]


class CircuitBreakerConfig(Config):
    """All times are seconds; with `enabled=False` there are no breakers.

    It opens after `failure_threshold` failures in a row, or when at least `failure_rate` of the calls of the last
    `window` failed and there were `minimum_calls`. It stays open for `timeout`, twice as long at every time that
    follows, up to `max_open_time`, and longer by a random part of `jitter`. Then it lets `half_open_probes` calls
    at once through; `success_threshold` successes close it, one failure opens it again. A probe of which nothing
    was heard for `probe_timeout` is given up. Rate limits (429) count as failures once there was nothing else
    for `rate_limit_persistence`; a deadline is its caller's choice, and counts, where it passes without a word of the
    deployment, once there was nothing else for `deadline_persistence`.
    """

    enabled: bool = True
    failure_threshold: int = Field(default=5, ge=1)
    success_threshold: int = Field(default=2, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    minimum_calls: int = Field(default=20, ge=1)
    window: float = Field(default=60.0, ge=0.001)
    max_open_time: float = Field(default=600.0, gt=0)
    jitter: float = Field(default=0.1, ge=0, le=1)
    half_open_probes: int = Field(default=1, ge=1)
    probe_timeout: float = Field(default=60.0, gt=0)
    rate_limit_persistence: float = Field(default=30.0, ge=0)
    deadline_persistence: float = Field(default=10.0, ge=0)

    @property
    def longest_open_time(self) -> float:
        """The cap of the open time: `max_open_time`, but never below `timeout`."""
        return max(self.max_open_time, self.timeout)
