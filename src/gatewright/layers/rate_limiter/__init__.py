"""Limits on requests, tokens and calls at once, for which calls wait in a fair queue."""

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.deployments import DeploymentLimitLayer, DeploymentLimits
from gatewright.layers.rate_limiter.layer import RateLimitLayer
from gatewright.layers.rate_limiter.limiter import RateLimiter
from gatewright.layers.rate_limiter.registry import EVERY
from gatewright.layers.rate_limiter.status import LimitStatus, QueueStatus, WaitingCall

__all__ = [
    "EVERY",
    "DeploymentLimitLayer",
    "DeploymentLimits",
    "LimitStatus",
    "QueueStatus",
    "RateLimitConfig",
    "RateLimitLayer",
    "RateLimiter",
    "WaitingCall",
]
