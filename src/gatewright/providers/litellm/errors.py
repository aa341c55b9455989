"""litellm's exceptions as ours: by their class, the provider's status and codes, and their causes, never by text."""

from __future__ import annotations

import asyncio

from pydantic import ValidationError

from gatewright.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigurationError,
    ConnectionFailed,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    InvalidProviderResponse,
    NotFound,
    PermissionDenied,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    UnsupportedParameter,
)
from gatewright.providers.litellm.upstream import causes, codes_of, retry_after_of, status_of
from gatewright.redaction import redact
from gatewright.types.deployment import Deployment

__all__ = ["gateway_error"]

# By class name along the exception's ancestry, most specific first: litellm need not be imported to translate.
_CLASSES: dict[str, type[GatewayError]] = {
    "AuthenticationError": AuthenticationFailed,
    "PermissionDeniedError": PermissionDenied,
    "PaymentRequiredError": PermissionDenied,
    "NotFoundError": NotFound,
    "ContextWindowExceededError": ContextWindowExceeded,
    "ContentPolicyViolationError": ContentPolicyViolation,
    "UnsupportedParamsError": UnsupportedParameter,
    "LiteLLMUnknownProvider": ConfigurationError,
    "BadRequestError": BadRequest,
    "UnprocessableEntityError": BadRequest,
    "RateLimitError": RateLimited,
    "Timeout": ProviderTimeout,
    "APITimeoutError": ProviderTimeout,
    "TimeoutError": ProviderTimeout,
    "TimeoutException": ProviderTimeout,
}

_STATUSES: dict[int, type[GatewayError]] = {
    401: AuthenticationFailed,
    402: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: ProviderTimeout,
    429: RateLimited,
    504: ProviderTimeout,
}

# Codes, types and reasons that say more than the status they come with.
_CODES: dict[str, type[GatewayError]] = {
    "api_key_invalid": AuthenticationFailed,
    "invalid_api_key": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "model_not_found": NotFound,
    "not_found_error": NotFound,
    "context_length_exceeded": ContextWindowExceeded,
    "exceed_context_size_error": ContextWindowExceeded,
    "too_many_prompt_tokens": ContextWindowExceeded,
    "too_many_tokens": ContextWindowExceeded,
    "content_filter": ContentPolicyViolation,
    "content_policy_violation": ContentPolicyViolation,
    "responsibleaipolicyviolation": ContentPolicyViolation,
    "overloaded_error": ProviderUnavailable,
    "rate_limit_error": RateLimited,
    "api_error": ProviderUnavailable,
    "tool_use_failed": BadRequest,
}

_TRANSPORT = ("TransportError", "ClientError", "APIConnectionError")
_SERVER_ERRORS = ("InternalServerError", "ServiceUnavailableError", "BadGatewayError")
_UNREADABLE = (UnicodeError, LookupError, TypeError, AttributeError, RuntimeError, ValidationError)


def gateway_error(error: BaseException, deployment: Deployment, *, begun: bool = False) -> GatewayError:
    """Give what litellm raised as an error of the gateway's tree, with the deployment's key taken out.

    `begun` says that the provider's stream had begun: what is not known is then the answer's fault.
    """
    if isinstance(error, GatewayError):
        return error
    error = getattr(error, "original_exception", None) or error
    status, codes = status_of(error), codes_of(error)
    kind = _kind(error, status, codes) or (InvalidProviderResponse if begun else BadRequest)
    return kind(
        _message(error, kind, status, deployment),
        provider=deployment.provider,
        model=deployment.model,
        retry_after=retry_after_of(error) if kind in (RateLimited, ProviderUnavailable) else None,
        upstream_status=status,
        upstream_code=codes[0] if codes else None,
        retryable=False if "insufficient_quota" in codes else None,
    )


def _kind(error: BaseException, status: int | None, codes: list[str]) -> type[GatewayError] | None:
    """Classify: the provider's own code, then its status, then litellm's class, then what went wrong inside."""
    named = next((_CLASSES[c.__name__] for c in type(error).__mro__ if c.__name__ in _CLASSES), None)
    if named in (ContextWindowExceeded, ContentPolicyViolation, UnsupportedParameter, ConfigurationError):
        return named
    coded = next((_CODES[code] for code in codes if code in _CODES), None)
    if coded is not None and status in (None, 200, 400, 413, 422, 500):
        return coded
    if status is not None and status >= 400:
        return _STATUSES.get(status, ProviderUnavailable if status >= 500 else BadRequest)
    return _without_status(error, named)


def _without_status(error: BaseException, named: type[GatewayError] | None) -> type[GatewayError] | None:
    """Classify what is no HTTP error: a timeout, a broken connection, an answer that litellm could not read.

    None where nothing was sent and nothing failed to be read: litellm refused the request.
    """
    chain = list(causes(error))
    if named is ProviderTimeout or any(isinstance(cause, asyncio.TimeoutError) for cause in chain):
        return ProviderTimeout
    if any(_is_transport(cause) for cause in chain):
        return ConnectionFailed
    if any(isinstance(cause, _UNREADABLE) or _json_error(cause) or _status_200(cause) for cause in chain):
        return InvalidProviderResponse
    # A server's error that no server sent is litellm's own complaint about an answer.
    if named is None and any(c.__name__ in _SERVER_ERRORS for c in type(error).__mro__):
        return InvalidProviderResponse
    return named


def _is_transport(error: BaseException) -> bool:
    if type(error).__module__.startswith("litellm"):
        return False
    return isinstance(error, OSError) or any(c.__name__ in _TRANSPORT for c in type(error).__mro__)


def _json_error(error: BaseException) -> bool:
    return type(error).__name__ in ("JSONDecodeError", "APIResponseValidationError")


def _status_200(error: BaseException) -> bool:
    return getattr(error, "status_code", None) == 200


def _message(error: BaseException, kind: type[GatewayError], status: int | None, deployment: Deployment) -> str:
    """Give litellm's own words only where the provider or litellm's checks said something: else they are a trace."""
    if kind is InvalidProviderResponse:
        return "the provider's answer is not what its protocol promises"
    if kind is ConnectionFailed:
        return "the provider could not be reached, or the connection broke"
    text = str(getattr(error, "message", None) or error).partition("\nTraceback")[0]
    return redact(text, deployment.secret)[:1000] or f"the provider answered with HTTP status {status}"
