"""From a provider's error answer to the one tree: by HTTP status, error code and error type, never by its text."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gatewright.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    InvalidProviderResponse,
    NotFound,
    PermissionDenied,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.providers.openai_wire.shapes import ErrorBody
from gatewright.redaction import redact
from gatewright.types.configuration import mapping

__all__ = ["error_of", "retry_after"]

_BY_STATUS: dict[int, type[GatewayError]] = {
    401: AuthenticationFailed,
    402: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: ProviderTimeout,
    429: RateLimited,
    504: ProviderTimeout,
}

_BY_CODE: dict[str, type[GatewayError]] = {
    "context_length_exceeded": ContextWindowExceeded,
    "exceed_context_size_error": ContextWindowExceeded,
    "too_many_prompt_tokens": ContextWindowExceeded,
    "too_many_tokens": ContextWindowExceeded,
    "content_policy_violation": ContentPolicyViolation,
    "content_filter": ContentPolicyViolation,
    "content_filtered": ContentPolicyViolation,
    "moderation_blocked": ContentPolicyViolation,
    "responsibleaipolicyviolation": ContentPolicyViolation,
    "invalid_api_key": AuthenticationFailed,
    "api_key_invalid": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "permission_error": PermissionDenied,
    "model_not_found": NotFound,
    "not_found_error": NotFound,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "overloaded_error": ProviderUnavailable,
    "server_error": ProviderUnavailable,
    "invalid_request_error": BadRequest,
}

MAX_MESSAGE = 1000
MAX_NAME = 100


class _Said(msgspec.Struct):
    """What an error answer says: its message, its codes and types, the status that it states itself, the field."""

    text: str | None = None
    words: list[str] = []
    status: int | None = None
    param: str | None = None


def error_of(status: int, headers: Mapping[str, str], body: bytes, *secrets: str | None) -> GatewayError:
    """Classify an error answer, or an error inside a 200 (`status` 200), and word it without secrets."""
    said = _read(body)
    words = said.words
    if status == 200 and said.status is not None:
        status = said.status
    cls = _class_of(status, words)
    return cls(
        redact(said.text or f"the provider answered with HTTP status {status}", *secrets)[:MAX_MESSAGE],
        retry_after=retry_after(headers) if cls in (RateLimited, ProviderUnavailable) else None,
        upstream_status=status,
        upstream_code=redact(words[0], *secrets)[:MAX_NAME] if words else None,
        param=redact(said.param, *secrets)[:MAX_NAME] if said.param else None,
        # An exhausted quota stays exhausted: another deployment can help, waiting cannot.
        retryable=False if "insufficient_quota" in words else None,
    )


def _class_of(status: int, words: list[str]) -> type[GatewayError]:
    """Classify by the most telling of the provider's words where the status is vague, else by the status."""
    if status in (200, 400, 403, 413, 422, 500):
        for word in words:
            known = _BY_CODE.get(word.lower(), BadRequest)
            if known is ContentPolicyViolation or (known is not BadRequest and status != 403):
                return known
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ProviderUnavailable
    if status >= 400:
        return BadRequest
    if status == 200:
        return next((known for word in words if (known := _BY_CODE.get(word.lower()))), ProviderUnavailable)
    return InvalidProviderResponse


def _read(body: bytes) -> _Said:
    """Read an error answer; what is no JSON says nothing."""
    try:
        top = _top(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Said()
    inner = top.error
    if not isinstance(inner, dict):
        said = inner if isinstance(inner, str) else _text(top.message) or _text(top.detail)
        return _Said(said, _words(top.code, top.type, top.error_type))
    # Azure names the content filter one level deeper, Google the reason.
    deeper = mapping(inner.get("innererror")) or {}
    reasons = [detail.get("reason") for detail in map(mapping, _list(inner.get("details"))) if detail]
    words = _words(inner.get("code"), deeper.get("code"), inner.get("type"), inner.get("error_type"), *reasons)
    if _list((mapping(inner.get("metadata")) or {}).get("reasons")):
        words.append("content_policy_violation")  # OpenRouter's moderation, with the status 403
    stated = [inner.get("status"), inner.get("status_code"), inner.get("code")]
    status = next((number for value in stated if (number := _status(value)) is not None), None)
    param = inner.get("param")
    return _Said(_text(inner.get("message")), words, status, param if isinstance(param, str) else None)


def _top(body: bytes) -> ErrorBody:
    """Decode an error; Google's come as a list of one."""
    if body.lstrip().startswith(b"["):
        return (msgspec.json.decode(body, type=list[ErrorBody]) or [ErrorBody()])[0]
    return msgspec.json.decode(body, type=ErrorBody)


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _words(*values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str) and value and not value.isdecimal()]


def _status(value: Any) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Give the seconds that `retry-after-ms` or `Retry-After` (seconds or an HTTP date) ask for; None without.

    Azure sends `retry-after-ms: 0` beside a real `retry-after`: the larger of the two is honoured.
    """
    lowered = {name.lower(): value for name, value in headers.items() if name.lower().startswith("retry-after")}
    seconds = _seconds(lowered.get("retry-after"))
    millis = _number(lowered.get("retry-after-ms"))
    asked = [one for one in (seconds, None if millis is None else millis / 1000) if one is not None]
    return max(asked, default=None)


def _seconds(value: str | None) -> float | None:
    if value is None:
        return None
    if (number := _number(value)) is not None:
        return number
    try:
        parsed = email.utils.parsedate_tz(value)
        return None if parsed is None else max(0.0, email.utils.mktime_tz(parsed) - time.time())
    except (ValueError, OverflowError):  # the 99th of a month, the year 0
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
