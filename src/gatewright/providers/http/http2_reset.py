"""Telling an HTTP/2 server that nobody wants the rest of an answer, which httpcore 1.0 does not do by itself.

Without it the provider goes on generating, and what it sends eats up the window that all calls of the connection share.
"""

from __future__ import annotations

import contextlib
from typing import Any

import h2.errors
import h2.exceptions
import httpcore
import httpx

__all__ = ["reset"]

# Where httpx and httpcore keep the connection of a response; where a release keeps it elsewhere, nothing is sent.
_PATH = ("_stream", "_httpcore_stream", "_stream")
_EXPECTED = (h2.exceptions.H2Error, httpcore.NetworkError, httpcore.TimeoutException, OSError, RuntimeError)


async def reset(response: httpx.Response) -> None:
    """Cancel the stream of `response`, where that is one of HTTP/2 and has not ended."""
    stream: Any = response.stream
    for name in _PATH:
        stream = getattr(stream, name, None)
    connection, stream_id = getattr(stream, "_connection", None), response.extensions.get("stream_id")
    state = getattr(connection, "_h2_state", None)
    if connection is None or state is None or stream_id is None:
        return
    with contextlib.suppress(*_EXPECTED):
        state.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        await connection._write_outgoing_data(stream._request)
