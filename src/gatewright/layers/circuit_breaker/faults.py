"""Which errors speak against a deployment."""

from __future__ import annotations

from gatewright.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidProviderResponse,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)

__all__ = ["is_fault", "is_rate_limit", "is_silence"]

# A key that is not accepted is the deployment's own and fails for everyone, so it counts. What a provider forbids
# or does not find (403, 404) may be about this one request: that never counts.
FAULTS = (AuthenticationFailed, ConnectionFailed, InvalidProviderResponse, ProviderTimeout, ProviderUnavailable)


def is_fault(error: BaseException) -> bool:
    """Whether an error says that the deployment, not the caller or the gateway, is at fault."""
    origin = _origin(error)
    return isinstance(origin, FAULTS) and origin.asked


def is_rate_limit(error: BaseException) -> bool:
    """Whether an error says that the deployment has no room at present."""
    origin = _origin(error)
    return isinstance(origin, RateLimited) and origin.asked


def is_silence(error: BaseException) -> bool:
    """Whether an error says that nothing came of the deployment in the time that a caller had for it."""
    return isinstance(error, DeadlineExceeded) and error.asked


def _origin(error: BaseException) -> BaseException:
    if not isinstance(error, StreamInterrupted):
        return error
    # A stream breaks off for the reason in its cause; without one, the connection is at fault.
    return error.__cause__ or ConnectionFailed(error.message)
