"""One connection: commands go out in order, their replies come back in the same order."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis.address import Endpoint, RedisAddress
from gatewright.storage.redis.resp import ErrorReply, ReplyParser, encode

__all__ = ["RedisConnection", "Unanswered", "connect"]

OnReply = Callable[[Any], None]


class Unanswered(StoreUnavailable):
    """It was asked, and nothing came: what it was asked it may have done, or does as soon as it goes on."""


class RedisConnection(asyncio.Protocol):
    """Hands each reply to whoever asked, in the order of asking; at its end everyone gets `StoreUnavailable`.

    It is written for speed: no lock, no pool, no task. Any number of commands is under way at once.
    """

    def __init__(self) -> None:
        self._parser = ReplyParser()
        self._waiting: deque[tuple[float, OnReply]] = deque()
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self.now = loop.time
        self.gone: asyncio.Future[None] = loop.create_future()
        self.on_end: Callable[[StoreUnavailable], None] | None = None

    @property
    def asked_first(self) -> float | None:
        """The loop's time at which the oldest command without a reply was sent; None without any."""
        return self._waiting[0][0] if self._waiting else None

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a command whose reply, or `StoreUnavailable`, is given to `on_reply`."""
        transport = self._transport
        if transport is None:
            on_reply(StoreUnavailable("Redis: the connection is closed"))
            return
        self._waiting.append((self.now(), on_reply))
        transport.write(command)

    async def ask(self, *words: bytes) -> Any:
        """Send a command and give its reply; `StoreUnavailable` where it is an error."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(encode(*words), lambda reply: None if answered.done() else answered.set_result(reply))
        reply = await answered
        if isinstance(reply, ErrorReply):
            raise StoreUnavailable(f"Redis answered {reply.code} to {words[0].decode()}", upstream_code=reply.code)
        if isinstance(reply, StoreUnavailable):
            raise reply
        return reply

    def end(self, error: StoreUnavailable) -> None:
        """Close it at once; who waits for a reply gets `error`."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        waiting = list(self._waiting)
        self._waiting.clear()
        # First whoever sends: those who wait may ask for more at once, which must not go this way.
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(error)
        for _, on_reply in waiting:
            on_reply(error)

    def let_go(self) -> None:
        """Forget it without its loop, which is closed or belongs to the process's parent; nobody is told."""
        transport, self._transport, self.on_end = self._transport, None, None
        self._waiting.clear()
        if transport is not None:
            _left_behind.append(transport)
            transport.get_extra_info("socket")._sock.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be told by asyncio that it is there."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Be told by asyncio what came."""
        waiting = self._waiting
        try:
            for reply in self._parser.feed(data):
                if self._transport is None:
                    return
                waiting.popleft()[1](reply)
        except (ValueError, IndexError, RecursionError):
            self.end(StoreUnavailable("Redis: what answers there does not speak its protocol"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Be told by asyncio that it is gone."""
        if not self.gone.done():
            self.gone.set_result(None)
        reason = f": {type(exc).__name__}" if exc is not None else ""
        self.end(Unanswered(f"Redis: the connection was lost{reason}"))


# Collecting a transport would meddle with its loop, which may be the parent process's; its socket is closed here.
_left_behind: list[asyncio.Transport] = []


async def connect(address: RedisAddress, endpoint: Endpoint | None = None) -> RedisConnection:
    """Open a connection to one server, not logged in yet; `StoreUnavailable` where it cannot be reached."""
    loop = asyncio.get_running_loop()
    try:
        tls = ssl.create_default_context(cafile=address.ca_file) if address.tls else None
    except OSError as error:
        raise StoreUnavailable(f"Redis: ssl_ca_certs cannot be read: {type(error).__name__}") from error
    try:
        if address.path is not None:
            return (await loop.create_unix_connection(RedisConnection, address.path))[1]
        host, port = endpoint or address.hosts[0]
        return (await loop.create_connection(RedisConnection, host, port, ssl=tls))[1]
    except (OSError, ValueError) as error:  # a host's name may be none
        raise StoreUnavailable(f"Redis: {address.where} cannot be reached: {type(error).__name__}") from error
