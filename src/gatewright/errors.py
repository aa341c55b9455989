"""One tree of errors: each knows its code, its HTTP status, and whether trying again can help."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self

__all__ = [
    "AuthenticationFailed",
    "BadRequest",
    "BlockingCallRefused",
    "CallCancelled",
    "ConfigurationError",
    "ConnectionFailed",
    "ContentPolicyViolation",
    "ContextWindowExceeded",
    "DeadlineExceeded",
    "GatewayClosed",
    "GatewayError",
    "InputRejected",
    "InvalidProviderResponse",
    "MissingExtra",
    "NotFound",
    "PermissionDenied",
    "ProviderTimeout",
    "ProviderUnavailable",
    "RateLimited",
    "RecordsUnavailable",
    "StreamInterrupted",
    "UnsupportedParameter",
    "ValidationFailed",
]


class GatewayError(Exception):
    """Anything that the gateway raises; `retryable` says whether the same call can succeed later.

    `code` is stable and machine-readable, `status` the HTTP status that the server answers with,
    `retry_after` seconds (None when nobody said), `param` the input's field that is at fault. `asked` is False where
    the gateway itself refused before any provider was asked, so that nothing is held against one.
    """

    code: ClassVar[str] = "gateway_error"
    status: ClassVar[int] = 500
    retryable: bool = False
    asked: bool = True

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        retryable: bool | None = None,
        upstream_status: int | None = None,
        upstream_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.retry_after = retry_after
        self.param = param
        self.upstream_status = upstream_status
        self.upstream_code = upstream_code
        self.attempts = 0
        self.results: list[Any] | None = None  # what a batch that this failed did get
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        return f"{self.message} [{where}]" if where else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # The state comes apart, after the error itself: a batch's error stands among its own results.
        return (_rebuild, (type(self), self.message), dict(self.__dict__))

    def copy_for(self, request_id: str) -> Self:
        """Give the error once more, for another caller who shares it: traceback and request id are one caller's."""
        own = copy.copy(self)
        own.request_id = request_id
        own.__cause__ = self
        return own

    def as_dict(self) -> dict[str, Any]:
        """Give the error in the OpenAI form, `{"message", "type", "code", "param"}`, for a wire or a log."""
        return {"message": str(self), "type": type(self).__name__, "code": self.code, "param": self.param}


def _rebuild(cls: type[GatewayError], message: str) -> GatewayError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    return error


class ConfigurationError(GatewayError, ValueError):
    """A setting is wrong or missing; the message names the field, the value and what was expected."""

    code = "configuration"


class MissingExtra(ConfigurationError, ImportError):
    """A feature needs a package that is not installed; the message names the `pip install` to run."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs an extra that is not installed: pip install "gatewright[{extra}]"')


class BlockingCallRefused(GatewayError, RuntimeError):
    """A blocking call came from the gateway's own event loop, which it would stop for ever."""

    code = "blocking_call"


class GatewayClosed(GatewayError):
    """The gateway was closed before or during the call."""

    code = "gateway_closed"
    status = 503


class RecordsUnavailable(GatewayError):
    """No call is made that could not be recorded: the journal is full, or its disk takes nothing."""

    code = "records_unavailable"
    status = 503
    retryable = True
    asked = False


class BadRequest(GatewayError):
    """The request itself is wrong (400, 413, 422): sending it again cannot help."""

    code = "bad_request"
    status = 400


class UnsupportedParameter(BadRequest):
    """The provider does not know a parameter and the configuration says to refuse it."""

    code = "unsupported_parameter"


class ContextWindowExceeded(BadRequest):
    """The prompt and the answer asked for do not fit the model's context window."""

    code = "context_window_exceeded"


class ContentPolicyViolation(BadRequest):
    """The provider's content policy refused the prompt or the answer."""

    code = "content_policy_violation"


class InputRejected(BadRequest):
    """A guardrail does not let the input through: `errors` are sentences, which name what it is but never quote it."""

    code = "input_rejected"
    asked = False

    def __init__(
        self, message: str, *, errors: Sequence[str] = (), findings: Sequence[Any] = (), **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.errors = list(errors)
        self.findings = list(findings)


class ValidationFailed(GatewayError):
    """A guardrail does not let the answer through, repaired or not.

    `errors` are sentences, one for each fault; `text` is the last text, without what must not be shown; `sent` is how
    many characters of a stream had gone out.
    """

    code = "validation_failed"
    status = 422

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[str] = (),
        findings: Sequence[Any] = (),
        text: str = "",
        sent: int = 0,
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.errors = list(errors)
        self.findings = list(findings)
        self.text = text
        self.sent = sent


class AuthenticationFailed(GatewayError):
    """The provider did not accept the key (401), or there is none."""

    code = "authentication"
    status = 401


class PermissionDenied(GatewayError):
    """The key may not do this (403), or its account is not paid for (402)."""

    code = "permission_denied"
    status = 403


class NotFound(GatewayError):
    """The model or the route does not exist (404)."""

    code = "not_found"
    status = 404


class RateLimited(GatewayError):
    """A limit was reached, the provider's or the gateway's own; `retry_after` says when to come back.

    `limits` is what the provider said with it is left, a `ProviderLimits`.
    """

    code = "rate_limited"
    status = 429
    retryable = True
    limits: Any = None


class ProviderTimeout(GatewayError):
    """The provider was too slow: to connect, to send its first byte, or between two chunks."""

    code = "provider_timeout"
    status = 504
    retryable = True


class ConnectionFailed(GatewayError):
    """The provider could not be reached, or the connection broke."""

    code = "connection_failed"
    status = 502
    retryable = True


class ProviderUnavailable(GatewayError):
    """The provider answered that it is down or overloaded (500, 502, 503, 504, 529), or none is left to ask."""

    code = "provider_unavailable"
    status = 503
    retryable = True


class InvalidProviderResponse(GatewayError):
    """The provider's answer is not what its protocol promises: no JSON, another shape, a truncated stream."""

    code = "invalid_provider_response"
    status = 502
    retryable = True


class StreamInterrupted(GatewayError):
    """A stream failed after its first chunk; `text` is what had come until then, `__cause__` says why."""

    code = "stream_interrupted"
    status = 502

    def __init__(self, message: str, *, text: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.text = text


class DeadlineExceeded(GatewayError, TimeoutError):
    """The call's deadline passed; it covered queueing, retries and fallbacks."""

    code = "deadline_exceeded"
    status = 504


class CallCancelled(GatewayError):
    """The call was cancelled by its caller or by closing the gateway."""

    code = "cancelled"
    status = 499
