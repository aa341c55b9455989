"""The client for HTTP/2, where a deployment asks for it: httpx, from the extra `gatewright[http2]`.

One connection carries many requests at once; it costs more CPU a call than the default client.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from gatewright.errors import (
    ConfigurationError,
    ConnectionFailed,
    GatewayError,
    InvalidProviderResponse,
    MissingExtra,
    ProviderTimeout,
)
from gatewright.pipeline.tracebacks import let_go_of_frames
from gatewright.providers.http.base import Headers, Timeouts, least, whole_body
from gatewright.providers.http.environment import ssl_context

try:
    import httpx

    from gatewright.providers.http.http2_reset import reset
except ImportError as error:
    raise MissingExtra("http2: true", "http2") from error

__all__ = ["HttpxClient"]

KEEPALIVE_SECONDS = 45.0
# After a stream's last event its body ends at once, or the server is not worth waiting for.
FINISH_SECONDS = 0.2
# What a request can fail with; RuntimeError is that of a client that is just being closed.
_EXPECTED = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, RuntimeError)
_HEAD, _REST = "the head of its answer", "the rest of its answer"
_HERE = ("localhost", "127.0.0.1", "[::1]")


class HttpxClient:
    """One pool of HTTP/2 connections (HTTP/1.1 where the other side has no other), on the loop that first uses it."""

    def __init__(self, *, connect_timeout: float | None = 10.0, ca_file: str | None = None) -> None:
        self._connect_timeout = connect_timeout
        self._ca_file = ca_file
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, headers: Headers, body: bytes, timeouts: Timeouts) -> _Response:
        """Send a request and wait for the answer's head."""
        client = self._client or self._open()
        ends_at = None if timeouts.total is None else asyncio.get_running_loop().time() + timeouts.total
        try:
            request = client.build_request("POST", url, headers=dict(headers), content=body)
            async with asyncio.timeout(least(timeouts.first_byte, timeouts.total)):
                return _Response(await client.send(request, stream=True), timeouts, ends_at)
        except _EXPECTED as error:
            failure = _failure(error, _HEAD)
        raise failure

    def _open(self) -> httpx.AsyncClient:
        trusted = ssl_context(self._ca_file) or True
        try:
            client = self._client = httpx.AsyncClient(
                http2=True,
                verify=trusted,
                timeout=httpx.Timeout(None, connect=self._connect_timeout),
                limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_SECONDS),
                mounts={f"all://{host}": None for host in _HERE},  # no proxy means this machine by these names
            )
        except (ValueError, ImportError) as error:
            raise ConfigurationError("a proxy of the environment cannot be used: name an http:// proxy") from error
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

    def __init__(self, response: httpx.Response, timeouts: Timeouts, ends_at: float | None) -> None:
        self._response = response
        self._timeouts = timeouts
        self._ends_at = ends_at
        self._pieces = response.aiter_bytes()

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self._response.headers

    async def read(self) -> bytes:
        return await whole_body(self)

    async def read_some(self) -> bytes:
        chunk = self._timeouts.chunk
        by = least(None if chunk is None else asyncio.get_running_loop().time() + chunk, self._ends_at)
        try:
            async with asyncio.timeout_at(by):
                return await anext(self._pieces, b"")
        except _EXPECTED as error:
            failure = _failure(error, _REST)
        self.close()
        raise failure

    async def finish(self) -> None:
        with contextlib.suppress(*_EXPECTED):
            async with asyncio.timeout(FINISH_SECONDS):
                while await anext(self._pieces, b""):
                    pass
        await self._end()

    def close(self) -> None:
        if not self._response.is_closed:
            task = asyncio.get_running_loop().create_task(self._end())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def _end(self) -> None:
        if not self._response.is_closed:
            await reset(self._response)
            await self._response.aclose()


_closing: set[asyncio.Task[None]] = set()


def _failure(error: Exception, waiting_for: str) -> GatewayError:
    """Translate by type; the library's exceptions hold the request, and so the key: they are no causes here."""
    let_go_of_frames(error, _EXPECTED)
    if isinstance(error, httpx.ConnectTimeout):
        return ProviderTimeout("the provider could not be reached in time: connecting took too long")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ProviderTimeout(f"the provider was too slow: {waiting_for} did not come in time")
    broken = isinstance(error, httpx.RemoteProtocolError) and waiting_for is _REST
    if broken or isinstance(error, httpx.DecodingError):
        return InvalidProviderResponse(f"the provider's answer is cut off or garbled: {type(error).__name__}")
    tls = _beneath(error, ssl.SSLError)
    if tls is not None:
        said = tls.verify_message if isinstance(tls, ssl.SSLCertVerificationError) else tls.reason
        return ConnectionFailed(
            f"the TLS handshake failed: {said}", retryable=not isinstance(error, httpx.ConnectError)
        )
    if isinstance(error, httpx.ProxyError):
        return ConnectionFailed("the proxy refused the connection")
    doing = "cannot connect" if isinstance(error, httpx.ConnectError) else "the connection broke"
    return ConnectionFailed(f"{doing}: {type(error).__name__}")


def _beneath(error: BaseException | None, kind: type[ssl.SSLError]) -> ssl.SSLError | None:
    """Give the error of `kind` from which `error` came, through however many hands."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
