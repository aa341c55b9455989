"""What the direct lane needs of an HTTP client, and no more: a client can be changed behind it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import msgspec

from gatewright.errors import InvalidProviderResponse

__all__ = ["MAX_BODY_BYTES", "Headers", "HttpClient", "HttpResponse", "Timeouts", "least", "whole_body"]

Headers = tuple[tuple[str, str], ...]
"""Names and values, as they are sent; of two with one name the later one stands."""

MAX_BODY_BYTES = 256 * 1024 * 1024
"""The longest answer that is read whole, decompressed: 2,048 vectors of 3,072 numbers as text are about 75 MB."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for each phase of a request; None is "no limit but the call's deadline".

    `first_byte` is the wait until the answer's head has come, `chunk` the wait for the next bytes of its body,
    `total` all of it. The time to connect is a setting of the client, whose connections all requests share.
    """

    first_byte: float | None = None
    chunk: float | None = 300.0
    total: float | None = None


class HttpResponse(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, case-insensitive."""
        ...

    async def read(self) -> bytes:
        """Give the whole body, decompressed, and the connection back to the pool."""
        ...

    async def read_some(self) -> bytes:
        """Give the bytes of the body that have come, waiting for at least one; none at the end."""
        ...

    async def finish(self) -> None:
        """Give the connection back to the pool if the rest of the body is about to come, else close it."""
        ...

    def close(self) -> None:
        """Let go at once: an unfinished body closes its connection, which cancels the work upstream."""
        ...


class HttpClient(Protocol):
    """Pooled connections on one event loop. Failures are `ConnectionFailed` and `ProviderTimeout`."""

    def post(self, url: str, headers: Headers, body: bytes, timeouts: Timeouts) -> Coroutine[Any, Any, HttpResponse]:
        """Send a request and wait for the answer's head."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...

    def abandon(self) -> None:
        """Let go of everything without the loop, which is closed or belongs to the process's parent."""
        ...


def least(*limits: float | None) -> float | None:
    """Give the smallest of those that are set."""
    return min((limit for limit in limits if limit is not None), default=None)


async def whole_body(response: HttpResponse) -> bytes:
    """Read a body to its end and let go of the response; `InvalidProviderResponse` beyond `MAX_BODY_BYTES`."""
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await response.read_some():
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise InvalidProviderResponse(f"the provider's answer is longer than {MAX_BODY_BYTES} bytes")
    finally:
        response.close()  # where it has not ended: a connection whose body was read is back in the pool
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
