"""What speaks against a provider, and how it is worded: by class, so that no text from outside is in it."""

from __future__ import annotations

from gatewright.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    DeadlineExceeded,
    GatewayError,
    InvalidProviderResponse,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)

__all__ = ["is_fault", "origin", "wording"]

# As the circuit breaker sees it, and rate limits and deadlines: they are no reason to leave a deployment alone, but its
# callers have no answer. A caller's own faults, what is forbidden or not found, and cancellations never count.
_WORDINGS: dict[type[GatewayError], str] = {
    AuthenticationFailed: "Authentication failed",
    ConnectionFailed: "Connection failed",
    DeadlineExceeded: "Timed out",
    InvalidProviderResponse: "Invalid response",
    ProviderTimeout: "Timed out",
    ProviderUnavailable: "Service unavailable",
    RateLimited: "Rate limit exceeded",
}
_FAULTS = tuple(_WORDINGS)


def origin(error: BaseException) -> BaseException:
    """Give what a stream was interrupted by; any other error is its own origin."""
    if not isinstance(error, StreamInterrupted):
        return error
    return error.__cause__ or ConnectionFailed(error.message)


def is_fault(error: BaseException) -> bool:
    """Say whether an error (an origin) speaks against the provider."""
    return isinstance(error, _FAULTS) and error.asked


def wording(error: type[BaseException]) -> str:
    """Word a class of errors."""
    known = next((text for kind, text in _WORDINGS.items() if issubclass(error, kind)), None)
    return known or (error.code.replace("_", " ").capitalize() if issubclass(error, GatewayError) else error.__name__)
