"""The rate limiter's configuration, by the SDK's path."""

from gatewright.layers.rate_limiter import RateLimitConfig

__all__ = ["RateLimitConfig"]
