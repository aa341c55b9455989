"""The errors that a simulated provider fails with."""

from __future__ import annotations

from random import Random

from gatewright import errors
from gatewright.providers.simulator.config import ErrorKind, SimulatorConfig
from gatewright.types.deployment import Deployment

__all__ = ["Failures"]

_CLASSES: dict[ErrorKind, type[errors.GatewayError]] = {
    "authentication": errors.AuthenticationFailed,
    "bad_request": errors.BadRequest,
    "connection_failed": errors.ConnectionFailed,
    "content_policy_violation": errors.ContentPolicyViolation,
    "context_window_exceeded": errors.ContextWindowExceeded,
    "invalid_provider_response": errors.InvalidProviderResponse,
    "not_found": errors.NotFound,
    "permission_denied": errors.PermissionDenied,
    "provider_timeout": errors.ProviderTimeout,
    "provider_unavailable": errors.ProviderUnavailable,
    "rate_limited": errors.RateLimited,
}
_NEVER_ANSWERED = {"connection_failed", "provider_timeout", "invalid_provider_response"}


class Failures:
    """Decides which calls fail, and how."""

    def __init__(self, config: SimulatorConfig, deployment: Deployment, random: Random) -> None:
        self._config = config
        self._deployment = deployment
        self._random = random
        self._to_fail = config.fail_first
        self._kinds = tuple(config.errors)
        self._weights = tuple(config.errors.values())

    def of_call(self) -> errors.GatewayError | None:
        """Give the error of the next call, or None if it succeeds."""
        if self._to_fail:
            self._to_fail -= 1
        elif not self._drawn(self._config.failure_rate):
            return None
        return self._error(self._random.choices(self._kinds, self._weights)[0])

    def of_stream(self, chunks: int) -> int | None:
        """Give the number of chunks after which the next stream breaks, at least one; None if it does not."""
        if not self._drawn(self._config.stream_failure_rate):
            return None
        return self._random.randint(1, max(1, chunks - 1))

    def broken_stream(self) -> errors.GatewayError:
        """Make the error of a stream that broke."""
        return self._error("connection_failed")

    def too_slow(self, timeout: float) -> errors.GatewayError:
        """Make the error of an attempt that took longer than its `timeout` in seconds."""
        return errors.ProviderTimeout(
            f"no answer from the simulated provider within {timeout:g} s",
            provider=self._deployment.provider,
            model=self._deployment.model,
        )

    def _drawn(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate

    def _error(self, kind: ErrorKind) -> errors.GatewayError:
        made = _CLASSES[kind]
        return made(
            f"simulated failure: {kind}",
            provider=self._deployment.provider,
            model=self._deployment.model,
            retry_after=self._config.retry_after if kind == "rate_limited" else None,
            upstream_status=None if kind in _NEVER_ANSWERED else made.status,
        )
