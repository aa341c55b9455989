"""Response headers: where an answer came from, and what it cost."""

from __future__ import annotations

from urllib.parse import quote

from gatewright.types.responses import CacheStatus, EmbedResponse, GenerateResponse

__all__ = ["EVENT_STREAM", "JSON", "Headers", "answer_headers", "cache_headers", "header", "source_headers"]

Header = tuple[bytes, bytes]
Headers = list[Header]

JSON: Header = (b"content-type", b"application/json")
EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the events
]
MOST_WARNED = 2000
"""Characters of a header of warnings: clients and proxies take a few thousand bytes of headers."""
_PLAIN = "/:#@+,;=!*()[]{}<>?&$' ~|^"


def header(name: str, value: object) -> Header:
    """Make a header; what may not stand in one is percent-encoded, for a caller may have chosen the value."""
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        text = quote(text, safe=_PLAIN)
    return name.encode(), text.encode()


def source_headers(request_id: str, provider: str, deployment_id: str, attempts: int) -> Headers:
    """Say which deployment answered, and after how many attempts."""
    return [
        header("x-request-id", request_id),
        header("x-gatewright-provider", provider),
        header("x-gatewright-model-id", deployment_id),
        header("x-gatewright-attempts", attempts),
    ]


def cache_headers(status: CacheStatus | None, age: float | None) -> Headers:
    """Say what the response cache had, and for how many seconds; nothing where there is none."""
    headers = [] if status is None else [header("x-gatewright-cache", status)]
    return headers if age is None else [*headers, header("age", int(age))]


def answer_headers(response: GenerateResponse | EmbedResponse) -> Headers:
    """Say the same of a whole answer, what it cost in US dollars where that is known, and what guards warn of."""
    headers = source_headers(response.request_id, response.provider, response.deployment_id, response.attempts)
    headers += cache_headers(response.cache_status, response.cache_age)
    if response.cost_usd is not None:
        headers.append(header("x-gatewright-cost-usd", f"{response.cost_usd:.10f}".rstrip("0").rstrip(".") or "0"))
    if response.warnings:
        headers.append(header("x-gatewright-warnings", "; ".join(response.warnings)[:MOST_WARNED]))
    return headers
