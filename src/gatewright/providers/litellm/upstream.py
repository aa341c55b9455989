"""What the provider itself said, dug out of the exceptions that litellm wraps it in."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

__all__ = ["causes", "codes_of", "headers_of", "retry_after_of", "status_of"]

_WORDS = ("code", "reason", "error_type", "type")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give the error, what caused it, and so on to the first."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def status_of(error: BaseException) -> int | None:
    """Give the HTTP status of the provider's answer, or the one that its error names in a stream; None without."""
    first = list(causes(error))[::-1]
    for cause in first:
        if _from_http(cause):
            return int(cast(Any, cause).response.status_code)
    for body in _bodies(first):
        for name in ("status_code", "status", "code"):
            if isinstance(status := body.get(name), int) and 400 <= status < 600:
                return status
    return None


def codes_of(error: BaseException) -> list[str]:
    """Give the provider's own words for the error, lower-cased: `code`, `type`, `reason` and their like."""
    found: list[Any] = []
    chain = list(causes(error))[::-1]
    for body in _bodies(chain):
        for part in (body, *_inside(body)):
            found += [part.get(name) for name in _WORDS]
    # In a stream litellm takes the error's code for its status.
    found += [getattr(cause, "status_code", None) for cause in chain]
    return [word.lower() for word in found if isinstance(word, str)]


def headers_of(error: BaseException) -> Mapping[str, Any]:
    """Give the headers of the provider's answer; empty without."""
    for cause in causes(error):
        headers = getattr(cause, "litellm_response_headers", None)
        if headers:
            return headers
        if _from_http(cause):
            return cast(Any, cause).response.headers
    return {}


def retry_after_of(error: BaseException) -> float | None:
    """Give the seconds that the provider asks to wait: `retry-after-ms`, `retry-after` in seconds or as a date.

    Azure sends `retry-after-ms: 0` beside a real `retry-after`: the longer counts.
    """
    headers = headers_of(error)
    milliseconds = _number(headers.get("retry-after-ms"))
    seconds = _number(headers.get("retry-after"))
    if seconds is None and "retry-after" in headers:
        seconds = _until(str(headers["retry-after"]))
    asked = [wait for wait in (seconds, None if milliseconds is None else milliseconds / 1000) if wait is not None]
    return max(asked, default=None)


def _from_http(error: BaseException) -> bool:
    """Say whether an HTTP client raised it: litellm makes up responses for its own exceptions."""
    return type(error).__module__.startswith(("httpx", "openai")) and getattr(error, "response", None) is not None


def _bodies(chain: list[BaseException]) -> Iterator[dict[str, Any]]:
    """Give the error objects of the provider's body, wherever an exception keeps it."""
    for cause in chain:
        body: Any = getattr(cause, "body", None)
        if body is None and _from_http(cause):
            body = _json(_content(cast(Any, cause).response))
        elif body is None:
            body = _json(getattr(cause, "message", None))
        if isinstance(body, dict):
            error = cast(dict[str, Any], body).get("error", body)
            if isinstance(error, dict):
                yield cast(dict[str, Any], error)


def _inside(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Give Azure's inner error and the parts of Google's `details`."""
    inner: list[Any] = [body.get("innererror")]
    details = body.get("details")
    if isinstance(details, list):
        inner += cast(list[Any], details)
    return [part for part in inner if isinstance(part, dict)]


def _content(response: Any) -> bytes | None:
    """Give a response's body where it was read: a stream that was not has none."""
    return getattr(response, "_content", None)


def _json(text: Any) -> Any:
    if not isinstance(text, str | bytes) or not text:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
