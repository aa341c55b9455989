"""The default client: aiohttp, trimmed to what a gateway needs on its hot path.

Measured beside pyreqwest, it costs the same CPU a call; it also works after a fork, closes the connection of a
cancelled request at once, and has no thread of its own that could outlive the interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import aiohttp
import msgspec
from aiohttp.connector import Connection

from gatewright.errors import ConfigurationError
from gatewright.providers.http.aiohttp_failures import EXPECTED, failure_of
from gatewright.providers.http.aiohttp_target import Target
from gatewright.providers.http.base import Headers, Timeouts, least, whole_body
from gatewright.providers.http.environment import ssl_context

__all__ = ["AiohttpClient"]

# Idle connections are dropped before the usual 60 s of servers and load balancers, so that few requests meet a
# connection that the other side is just closing.
KEEPALIVE_SECONDS = 45.0
MAX_HEADER_BYTES = 64 * 1024
MAX_TARGETS = 1024
# A request of this length goes into the socket's own buffer, all of it.
AT_ONCE_BYTES = 16 * 1024
# After a stream's last event its body ends at once, or the server is not worth waiting for.
FINISH_SECONDS = 0.2


class AiohttpClient:
    """One pool of keep-alive connections, made on the loop that first uses it.

    The connector is aiohttp's, and so are the connections and the parser of what they bring. What stands between them
    in an `aiohttp.ClientSession` (cookies, redirects, a task that writes the body) a gateway has no need of, and it is
    most of what a call costs there.
    """

    def __init__(
        self, *, connect_timeout: float | None = 10.0, ca_file: str | None = None, max_connections: int = 0
    ) -> None:
        self._ca_file = ca_file
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=connect_timeout,
            # It covers the name's look-up and the proxy's answer too, but also the wait for a full pool.
            connect=connect_timeout if max_connections == 0 else None,
        )
        self._connector: aiohttp.TCPConnector | None = None
        self._finalizer: Callable[[], object] = lambda: None
        self._targets: dict[tuple[str, Headers], Target] = {}

    def post(self, url: str, headers: Headers, body: bytes, timeouts: Timeouts) -> Coroutine[Any, Any, AiohttpResponse]:
        """Send a request and wait for the answer's head."""
        connector = self._connector or self._open()
        target = self._targets.get((url, headers)) or self._target(url, headers)
        if timeouts.first_byte is None and timeouts.total is None:
            return self._send(connector, target, body, timeouts)
        return self._send_in_time(connector, target, body, timeouts)

    async def _send_in_time(
        self, connector: aiohttp.TCPConnector, target: Target, body: bytes, timeouts: Timeouts
    ) -> AiohttpResponse:
        ends_at = None if timeouts.total is None else asyncio.get_running_loop().time() + timeouts.total
        try:
            async with asyncio.timeout(least(timeouts.first_byte, timeouts.total)):
                return await self._send(connector, target, body, timeouts, ends_at)
        except TimeoutError as error:
            failure = failure_of(error, "the head of its answer")
        raise failure

    async def _send(
        self,
        connector: aiohttp.TCPConnector,
        target: Target,
        body: bytes,
        timeouts: Timeouts,
        ends_at: float | None = None,
    ) -> AiohttpResponse:
        try:
            try:
                connection = await connector.connect(target.request, [], self._timeout)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            protocol = connection.protocol
            assert protocol is not None
            try:
                protocol.set_response_params(
                    read_until_eof=True, max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES
                )
                # One that is lost already says so where the answer is read.
                if (transport := protocol.transport) is not None:
                    transport.write(b"%b%d\r\n\r\n%b" % (target.head, len(body), body))
                message, content = await protocol.read()
                while 100 <= message.code < 200 and message.code != 101:
                    message, content = await protocol.read()
            except BaseException:
                _give_up(connection)
                raise
            content.on_eof(connection.release if len(body) <= AT_ONCE_BYTES else partial(_end, connection))
            return AiohttpResponse(message.code, message.headers, content, connection, timeouts, ends_at)
        except EXPECTED as error:
            failure = failure_of(error, "the head of its answer")
        raise failure

    def _target(self, url: str, headers: Headers) -> Target:
        if len(self._targets) >= MAX_TARGETS:
            self._targets.clear()
        try:
            target = self._targets[url, headers] = Target(url, headers, asyncio.get_running_loop())
        except ConfigurationError:
            raise
        except ValueError as error:
            failure = failure_of(error, "the head of its answer")
        else:
            return target
        raise failure

    def _open(self) -> aiohttp.TCPConnector:
        connector = self._connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=ssl_context(self._ca_file) or True,
            ttl_dns_cache=30,
        )
        self._targets.clear()
        # It holds the connector, so that no collector's order can have it complain before it is let go of.
        self._finalizer = weakref.finalize(self, _let_go, connector, asyncio.get_running_loop(), os.getpid())
        return connector

    async def aclose(self) -> None:
        """Close all connections."""
        connector, self._connector = self._connector, None
        if connector is not None:
            # At the end of the process the finalizer may have come first.
            if not connector.closed:
                await connector.close()
            self._finalizer()

    def abandon(self) -> None:
        """Let go without the loop: nothing is sent, and nothing complains of it."""
        self._connector = None
        self._finalizer()


def _end(connection: Connection) -> None:
    """Let go after an answer: whoever gave it before all of a large request was sent may not read the rest of it."""
    if _unsent(connection):
        _give_up(connection)
    else:
        connection.release()


def _give_up(connection: Connection) -> None:
    """Close a connection, now and not when all that was to be sent on it has been."""
    if _unsent(connection) and (transport := connection.transport) is not None:
        transport.abort()
    connection.close()


def _unsent(connection: Connection) -> int:
    """Give how many bytes of a request still wait to be sent."""
    transport = connection.transport
    return 0 if transport is None else transport.get_write_buffer_size()


def _let_go(connector: aiohttp.TCPConnector, loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """End a pool that nobody closed, from wherever: a finalizer, the end of the process, a forked child."""
    if connector.closed:
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


class AiohttpResponse(msgspec.Struct, eq=False, gc=False):
    """An answer whose head has come; its connection goes back to the pool when the last of its body has."""

    status: int
    headers: Mapping[str, str]
    _content: aiohttp.StreamReader
    _connection: Connection
    _timeouts: Timeouts
    _ends_at: float | None

    async def read(self) -> bytes:
        # What has come whole, as almost every answer has with its head, lies there bounded by aiohttp's buffer.
        return _left(self._content) if self._content.is_eof() else await whole_body(self)

    async def read_some(self) -> bytes:
        content = self._content
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
            self._connection.close()
            failure = failure_of(error, "the rest of its answer")
        raise failure

    def _limit(self) -> float | None:
        """Give the time of the loop by which the next bytes are to come."""
        chunk = self._timeouts.chunk
        return self._ends_at if chunk is None else least(asyncio.get_running_loop().time() + chunk, self._ends_at)

    async def finish(self) -> None:
        content = self._content
        if not content.at_eof():
            with contextlib.suppress(*EXPECTED):
                async with asyncio.timeout(FINISH_SECONDS):
                    while await content.readany():
                        pass
        self.close()

    def close(self) -> None:
        if not self._content.is_eof():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._connection.close()


def _left(content: aiohttp.StreamReader) -> bytes:
    """Take what lies unread in a body that has ended or broken: of a broken one aiohttp itself gives only the error."""
    there: deque[bytes] | None = getattr(content, "_buffer", None)  # a body that cannot be has none
    if not there:
        return b""
    data = b"".join(there)
    there.clear()
    return data
