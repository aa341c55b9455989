"""Errors on the wire: OpenAI's body and status, and the headers that tell a client whether to try again."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from gatewright.api.headers import Headers, header
from gatewright.errors import AuthenticationFailed, BadRequest, GatewayError, NotFound, PermissionDenied

__all__ = [
    "BodyTooLarge",
    "InternalError",
    "KeyNotAccepted",
    "MethodNotAllowed",
    "OriginRefused",
    "RouteNotFound",
    "UnsupportedMediaType",
    "error_body",
    "error_headers",
    "error_json",
]


class BodyTooLarge(BadRequest):
    """The request's body is larger than the server takes."""

    code = "body_too_large"
    status = 413


class UnsupportedMediaType(BadRequest):
    """The request's body says that it is something else than JSON."""

    code = "unsupported_media_type"
    status = 415


class MethodNotAllowed(BadRequest):
    """The path is there, but not for this method."""

    code = "method_not_allowed"
    status = 405


class RouteNotFound(NotFound):
    """There is no such path."""

    code = "unknown_url"


class KeyNotAccepted(AuthenticationFailed):
    """The caller showed this server no key, or a wrong one."""

    code = "invalid_api_key"


class OriginRefused(PermissionDenied):
    """A server without a key was asked from elsewhere than its own machine."""

    code = "not_local"


class InternalError(GatewayError):
    """The server's own code failed; what it was is in the server's log, not on the wire."""

    code = "internal_error"


# What OpenAI calls these: its clients, and whatever is built on them, switch on its words.
_CODES = {
    "authentication": "invalid_api_key",
    "context_window_exceeded": "context_length_exceeded",
    "not_found": "model_not_found",
    "rate_limited": "rate_limit_exceeded",
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Statuses that OpenAI's clients try again on their own.
_TRIED_AGAIN = frozenset({408, 409, 429})


def error_body(error: GatewayError) -> dict[str, Any]:
    """Give `{"error": {"message", "type", "code", "param"}}`, the type and the code in OpenAI's words."""
    kind = _TYPES.get(error.status) or ("server_error" if error.status >= 500 else "invalid_request_error")
    code = _CODES.get(error.code, error.code)
    return {"error": {"message": str(error), "type": kind, "code": code, "param": error.param}}


def error_json(error: GatewayError) -> bytes:
    """Give the same as JSON."""
    return msgspec.json.encode(error_body(error))


def error_headers(error: GatewayError, request_id: str) -> Headers:
    """Give the headers of an error: whose it is, its code here, and when or whether to come back."""
    headers = [header("x-request-id", error.request_id or request_id), header("x-gatewright-error", error.code)]
    if error.provider:
        headers.append(header("x-gatewright-provider", error.provider))
    if error.attempts:
        headers.append(header("x-gatewright-attempts", error.attempts))
    if error.retry_after is not None:
        headers.append(header("retry-after", math.ceil(error.retry_after)))
        headers.append(header("retry-after-ms", math.ceil(error.retry_after * 1000)))
    if not error.retryable and (error.status >= 500 or error.status in _TRIED_AGAIN):
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, KeyNotAccepted):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers
