"""The client for HTTP/2, where a deployment asks for it: httpx, from the extra `gatewright[http2]`.

One connection carries many requests at once; it costs more CPU a call than the default client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gatewright.errors import ConnectionFailed, GatewayError, MissingExtra, ProviderTimeout
from gatewright.providers.http.base import Timeouts
from gatewright.providers.http.environment import ssl_context

try:
    import h2  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingTypeStubs]
    import httpx
except ImportError as error:
    raise MissingExtra("http2: true", "http2") from error

__all__ = ["HttpxClient"]

KEEPALIVE_SECONDS = 45.0


class HttpxClient:
    """One pool of HTTP/2 connections (HTTP/1.1 where the other side has no other), on the loop that first uses it."""

    def __init__(self, *, connect_timeout: float | None = 10.0, ca_file: str | None = None) -> None:
        self._connect_timeout = connect_timeout
        self._ca_file = ca_file
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts) -> _Response:
        """Send a request and wait for the answer's head."""
        client = self._client or self._open()
        request = client.build_request("POST", url, headers=dict(headers), content=body)
        limits = [limit for limit in (timeouts.first_byte, timeouts.total) if limit is not None]
        try:
            async with asyncio.timeout(min(limits, default=None)):
                response = await client.send(request, stream=True)
        except Exception as error:
            raise _failure(error) from error
        return _Response(response, timeouts)

    def _open(self) -> httpx.AsyncClient:
        client = self._client = httpx.AsyncClient(
            http2=True,
            verify=ssl_context(self._ca_file) or True,
            timeout=httpx.Timeout(None, connect=self._connect_timeout),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_SECONDS),
        )
        return client

    async def aclose(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def abandon(self) -> None:
        """Let go without the loop; httpx does not complain of it."""
        self._client = None


class _Response:
    """An httpx response behind the seam."""

    def __init__(self, response: httpx.Response, timeouts: Timeouts) -> None:
        self._response = response
        self._timeouts = timeouts
        self._pieces = response.aiter_bytes()

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self._response.headers

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeouts.total or self._timeouts.chunk):
                return await self._response.aread()
        except Exception as error:
            raise _failure(error) from error
        finally:
            await self._response.aclose()

    async def read_some(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeouts.chunk):
                return await anext(self._pieces, b"")
        except Exception as error:
            raise _failure(error) from error

    async def finish(self) -> None:
        await self._response.aclose()

    def close(self) -> None:
        if not self._response.is_closed:
            task = asyncio.get_running_loop().create_task(self._response.aclose())
            _closing.add(task)
            task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()


def _failure(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ProviderTimeout("the provider did not answer in time")
    return ConnectionFailed(f"the connection failed: {type(error).__name__}")
