"""The default client: aiohttp, trimmed to what a gateway needs on its hot path.

Measured beside pyreqwest, it costs the same CPU a call; it also works after a fork, closes the connection of a
cancelled request at once, and has no thread of its own that could outlive the interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import weakref
from collections.abc import Callable, Mapping

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from gatewright.providers.http.aiohttp_failures import EXPECTED, failure_of
from gatewright.providers.http.base import Timeouts, least, whole_body
from gatewright.providers.http.environment import proxy_for, ssl_context

__all__ = ["AiohttpClient"]

# Idle connections are dropped before the usual 60 s of servers and load balancers, so that few requests meet a
# connection that the other side is just closing.
KEEPALIVE_SECONDS = 45.0
MAX_HEADER_BYTES = 64 * 1024
AT_ONCE_BYTES = 1024 * 1024
MAX_TARGETS = 1024
# After a stream's last event its body ends at once, or the server is not worth waiting for.
FINISH_SECONDS = 0.2


class AiohttpClient:
    """One pool of keep-alive connections, made on the loop that first uses it."""

    def __init__(
        self, *, connect_timeout: float | None = 10.0, ca_file: str | None = None, max_connections: int = 0
    ) -> None:
        self._connect_timeout = connect_timeout
        self._ca_file = ca_file
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None
        self._finalizer: Callable[[], object] = lambda: None
        self._targets: dict[str, tuple[URL, str | None]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts) -> _Response:
        """Send a request and wait for the answer's head."""
        session = self._session or self._open()
        target = self._targets.get(url) or self._target(url)
        limit = least(timeouts.first_byte, timeouts.total)
        try:
            if limit is None:
                return _Response(await self._send(session, target, headers, body), timeouts, None)
            ends_at = None if timeouts.total is None else asyncio.get_running_loop().time() + timeouts.total
            async with asyncio.timeout(limit):
                return _Response(await self._send(session, target, headers, body), timeouts, ends_at)
        except EXPECTED as error:
            failure = failure_of(error, "the head of its answer")
        raise failure

    def _send(
        self, session: aiohttp.ClientSession, target: tuple[URL, str | None], headers: Mapping[str, str], body: bytes
    ) -> aiohttp.client._RequestContextManager:  # pyright: ignore[reportPrivateUsage]
        url, proxy = target
        # aiohttp warns of large bodies that are written at once; a file-like one is written in pieces.
        data = body if len(body) <= AT_ONCE_BYTES else io.BytesIO(body)
        return session.post(url, data=data, headers=headers, allow_redirects=False, proxy=proxy)

    def _target(self, url: str) -> tuple[URL, str | None]:
        if len(self._targets) >= MAX_TARGETS:
            self._targets.clear()
        target = self._targets[url] = (URL(url), proxy_for(url))
        return target

    def _open(self) -> aiohttp.ClientSession:
        connector = self._connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=ssl_context(self._ca_file) or True,
            ttl_dns_cache=30,
        )
        session = self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._connect_timeout,
                # It covers the name's look-up and the proxy's answer too, but also the wait for a full pool.
                connect=self._connect_timeout if self._max_connections == 0 else None,
            ),
            skip_auto_headers=("User-Agent",),
            max_field_size=MAX_HEADER_BYTES,
            max_line_size=MAX_HEADER_BYTES,
        )
        loop = asyncio.get_running_loop()
        # It holds the session, so that no collector's order can have it complain before it is let go of.
        self._finalizer = weakref.finalize(self, _let_go, session, loop, os.getpid())
        return session

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            # At the end of the process the finalizer may have come first, and taken the session apart.
            if not self._connector.closed:
                await self._connector.close()
            self._finalizer()

    def abandon(self) -> None:
        """Let go without the loop: nothing is sent, and nothing complains of it."""
        self._session = None
        self._finalizer()


def _let_go(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """End a session that nobody closed, from wherever: a finalizer, the end of the process, a forked child."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    if pid != os.getpid():
        _of_the_parent.append(connector)
    elif loop.is_running():
        with contextlib.suppress(RuntimeError):
            # A coroutine that is handed over, and made only there: it is never left unawaited.
            loop.call_soon_threadsafe(lambda: loop.create_task(_close(connector)))
            return
    # What `close` does needs the loop; without it only the finalizer's complaint is left to be stopped.
    connector._closed = True  # pyright: ignore[reportPrivateUsage]


async def _close(connector: aiohttp.BaseConnector) -> None:
    await connector.close()


# Connections that a forked child inherited: collecting them there would meddle with the parent's.
_of_the_parent: list[aiohttp.BaseConnector] = []


class _Response:
    """An aiohttp response behind the seam."""

    __slots__ = ("_ends_at", "_response", "_timeouts")

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts, ends_at: float | None) -> None:
        self._response = response
        self._timeouts = timeouts
        self._ends_at = ends_at

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._response.headers

    async def read(self) -> bytes:
        return await whole_body(self)

    async def read_some(self) -> bytes:
        content = self._response.content
        try:
            if data := content.read_nowait():
                return data
            if content.at_eof():
                return b""
            async with asyncio.timeout_at(self._limit()):
                return await content.readany()
        except EXPECTED as error:
            if data := _left(content):
                return data  # what came before the break; the next read says that it broke
            self._response.close()
            failure = failure_of(error, "the rest of its answer")
        raise failure

    def _limit(self) -> float | None:
        """Give the time of the loop by which the next bytes are to come."""
        chunk = self._timeouts.chunk
        return self._ends_at if chunk is None else least(asyncio.get_running_loop().time() + chunk, self._ends_at)

    async def finish(self) -> None:
        with contextlib.suppress(*EXPECTED):
            if not self._response.content.at_eof():
                async with asyncio.timeout(FINISH_SECONDS):
                    while await self._response.content.readany():
                        pass
        self._response.close()

    def close(self) -> None:
        self._response.close()


def _left(content: aiohttp.StreamReader) -> bytes:
    """Give what lies unread in a body that broke: aiohttp itself gives only the error."""
    there = getattr(content, "_buffer", None)  # a body that cannot be has none
    return content._read_nowait(-1) if there else b""  # pyright: ignore[reportPrivateUsage]
