"""What a rate limit is made of."""

from __future__ import annotations

from pydantic import Field

from gatewright.types.configuration import Config

__all__ = ["MOST", "RateLimitConfig"]


MOST = 10**15
"""More than anyone counts, and a number that can still be told apart from the next one when it is a float."""
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""So far apart that the one waits for the other for ever, and not so far that sums of their shares are no numbers."""


class RateLimitConfig(Config):
    """A limit on requests, tokens and calls at once, and how calls wait for it; None is "no limit".

    `burst_size` is how many requests, and `burst_tokens` how many tokens, may go at once after a pause; None is a
    minute's worth. `queue_timeout` is seconds. `max_queue_size` bounds the calls that wait for this limit.
    `weight` is the tenant's share where others wait for the same; a higher `priority` goes first, strictly.
    """

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    burst_size: int | None = Field(default=None, ge=1, le=MOST)
    burst_tokens: int | None = Field(default=None, ge=1, le=MOST)
    max_concurrent: int | None = Field(default=None, ge=1, le=MOST)
    enable_queuing: bool = True
    queue_timeout: float = Field(default=30.0, ge=0)
    max_queue_size: int = Field(default=10_000, ge=0, le=MOST)
    weight: float = Field(default=1.0, ge=LEAST_WEIGHT, le=MOST_WEIGHT)
    priority: int = 0

    @property
    def queues(self) -> bool:
        """Whether calls wait for it at all."""
        return self.enable_queuing and self.queue_timeout > 0.0

    @property
    def request_burst(self) -> float:
        """The requests that may go at once; never less than one."""
        return float(self.burst_size or max(1.0, self.requests_per_minute or 1.0))

    @property
    def token_burst(self) -> float:
        """The tokens that may go at once; never less than one."""
        return float(self.burst_tokens or max(1.0, self.tokens_per_minute or 1.0))
