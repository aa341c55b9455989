"""Limits on requests, tokens and calls at once, for which calls wait in a fair queue."""

from gatewright.layers.rate_limiter.config import RateLimitConfig

__all__ = ["RateLimitConfig"]
