"""When to try again: exponential backoff with full jitter, under a budget."""

from __future__ import annotations

import random

from pydantic import Field

from gatewright.types.configuration import Config

__all__ = ["RetryBudget", "RetryConfig", "backoff"]


class RetryConfig(Config):
    """How often and how patiently a failed attempt is made again; times in seconds.

    A retry asks a deployment again that failed in this call; asking another one instead is free of the budget.
    `budget_ratio` is how many retries each call earns (0.2: one for every five calls), `budget_per_second` how many
    come by themselves, so that rare calls can be retried too, and `budget_reserve` how many can be saved up: in an
    outage a deployment sees no more than calls * 1.2 + seconds + 10 requests.
    A `Retry-After` longer than `max_retry_after` is not waited for.
    """

    max_retries: int = Field(default=2, ge=0, le=100)
    base: float = Field(default=0.5, ge=0)
    cap: float = Field(default=8.0, ge=0)
    max_retry_after: float = Field(default=60.0, ge=0)
    budget_ratio: float = Field(default=0.2, ge=0, le=10)
    budget_per_second: float = Field(default=1.0, ge=0)
    budget_reserve: float = Field(default=10.0, ge=0)


def backoff(retry: int, config: RetryConfig, rng: random.Random) -> float:
    """Give the seconds before retry number `retry` (from 0): uniform in [0, min(cap, base * 2^retry)].

    Full jitter, after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return rng.uniform(0.0, min(config.cap, config.base * 2.0 ** min(retry, 30)))


class RetryBudget:
    """Retries that calls and time earn and retries spend, so that retries never multiply an outage (after Finagle)."""

    __slots__ = ("_balance", "_config", "_seen_at")

    def __init__(self, config: RetryConfig, now: float = 0.0) -> None:
        self._config = config
        self._balance = config.budget_reserve
        self._seen_at = now

    def earn(self) -> None:
        """Note a call."""
        balance, most = self._balance + self._config.budget_ratio, self._config.budget_reserve
        self._balance = balance if balance < most else most

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False where there is none."""
        earned = max(0.0, now - self._seen_at) * self._config.budget_per_second
        self._balance = min(self._config.budget_reserve, self._balance + earned)
        self._seen_at = now
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
