"""litellm's exceptions as ours: by their class, their status and what caused them, never by their text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
    redact,
)
from gatewright.providers.litellm.upstream import code_of, retry_after_of, status_of
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
    "APIResponseValidationError": InvalidProviderResponse,
    "ServiceUnavailableError": ProviderUnavailable,
    "BadGatewayError": ProviderUnavailable,
    "InternalServerError": ProviderUnavailable,
}
# What litellm also says when the truth is another: the status and the cause are asked first.
_VAGUE = frozenset({ProviderUnavailable, ConnectionFailed, InvalidProviderResponse})

_STATUSES: dict[int, type[GatewayError]] = {
    400: BadRequest,
    401: AuthenticationFailed,
    402: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: ProviderTimeout,
    413: BadRequest,
    422: BadRequest,
    429: RateLimited,
}

# Codes, types and reasons that say more than the status they come with.
_CODES: dict[str, type[GatewayError]] = {
    "api_key_invalid": AuthenticationFailed,
    "invalid_api_key": AuthenticationFailed,
    "model_not_found": NotFound,
    "context_length_exceeded": ContextWindowExceeded,
    "exceed_context_size_error": ContextWindowExceeded,
    "too_many_prompt_tokens": ContextWindowExceeded,
    "too_many_tokens": ContextWindowExceeded,
    "content_filter": ContentPolicyViolation,
    "content_policy_violation": ContentPolicyViolation,
    "responsibleaipolicyviolation": ContentPolicyViolation,
}

_UNREADABLE = (json.JSONDecodeError, UnicodeError, LookupError, TypeError, AttributeError, ValidationError)


def gateway_error(error: BaseException, deployment: Deployment) -> GatewayError:
    """Give what litellm raised as an error of the gateway's tree, with the deployment's key taken out."""
    if isinstance(error, GatewayError):
        return error
    error = getattr(error, "original_exception", None) or error
    status, code = status_of(error), code_of(error)
    kind = _kind(error, status, code)
    return kind(
        _message(error, kind, deployment),
        provider=deployment.provider,
        model=deployment.model,
        retry_after=retry_after_of(error) if kind in (RateLimited, ProviderUnavailable) else None,
        upstream_status=status,
        upstream_code=code,
    )


def _kind(error: BaseException, status: int | None, code: str | None) -> type[GatewayError]:
    if code is not None and code.lower() in _CODES:
        return _CODES[code.lower()]
    named = next((_CLASSES[c.__name__] for c in type(error).__mro__ if c.__name__ in _CLASSES), ConnectionFailed)
    if named not in _VAGUE:
        return named
    if status is not None and status >= 400:
        return _STATUSES.get(status, ProviderUnavailable if status >= 500 else BadRequest)
    if status is not None or any(isinstance(cause, _UNREADABLE) for cause in _causes(error)):
        return InvalidProviderResponse
    return named


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give the error, what caused it, and so on to the first."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _message(error: BaseException, kind: type[GatewayError], deployment: Deployment) -> str:
    """Give litellm's own words only where the provider said something: else they are its traceback."""
    if kind is InvalidProviderResponse:
        return "the provider's answer cannot be read"
    if kind is ConnectionFailed:
        return "the provider could not be reached, or the connection broke"
    text = str(getattr(error, "message", None) or error).partition("\nTraceback")[0]
    return redact(text, deployment.secret)[:2000]


Headers = Mapping[str, Any]
