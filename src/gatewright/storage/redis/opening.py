"""From an address to a connection that is logged in at the server that takes the writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis.address import Endpoint, RedisAddress
from gatewright.storage.redis.connection import RedisConnection, connect
from gatewright.storage.redis.resp import ErrorReply, encode
from gatewright.storage.redis.script import Script

__all__ = ["open_connection"]

MAX_REDIRECTIONS = 3
# A sentinel or a node that does not answer must leave time for the next.
NODE_PATIENCE = 0.25


async def open_connection(address: RedisAddress, key: bytes, scripts: Sequence[Script]) -> RedisConnection:
    """Connect to the server in charge of `key` and make it know the scripts."""
    if address.kind == "sentinel":
        return await _ready(address, await _master(address), key, scripts)
    if address.kind == "single":
        return await _ready(address, address.hosts[0] if address.hosts else None, key, scripts)
    return await _first(address, lambda node: _ready(address, node, key, scripts))


T = TypeVar("T")


async def _first(address: RedisAddress, attempt: Callable[[Endpoint], Awaitable[T]]) -> T:
    """Give what the first host that answers gives."""
    error = StoreUnavailable("Redis: no host answers")
    for host in random.sample(address.hosts, len(address.hosts)):
        try:
            async with asyncio.timeout(NODE_PATIENCE if len(address.hosts) > 1 else None):
                return await attempt(host)
        except TimeoutError:
            error = StoreUnavailable(f"Redis: {host[0]}:{host[1]} does not answer")
        except StoreUnavailable as failure:
            error = failure
    raise error


async def _master(address: RedisAddress) -> Endpoint:
    return await _first(address, lambda sentinel: _told_by(address, sentinel))


async def _told_by(address: RedisAddress, sentinel: Endpoint) -> Endpoint:
    connection = await connect(address, sentinel)
    try:
        if address.sentinel_password is not None:
            await connection.ask(*_auth(address.sentinel_username, address.sentinel_password))
        service = (address.service or "").encode()
        found = await connection.ask(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service)
    finally:
        connection.end(StoreUnavailable("Redis: the sentinel was asked"))
    if not found:
        raise StoreUnavailable(f"Redis: the sentinel knows no service {address.service!r}")
    return found[0].decode(), int(found[1])


async def _ready(
    address: RedisAddress, endpoint: Endpoint | None, key: bytes, scripts: Sequence[Script]
) -> RedisConnection:
    for _ in range(MAX_REDIRECTIONS):
        connection = await connect(address, endpoint)
        try:
            await _log_in(connection, address)
            moved = await _moved_to(connection, key, endpoint)
            if moved is None:
                await asyncio.gather(*(connection.ask(b"SCRIPT", b"LOAD", one.source) for one in scripts))
                return connection
        except BaseException:
            connection.end(StoreUnavailable("Redis: it could not be opened"))
            raise
        connection.end(StoreUnavailable("Redis: another node is in charge"))
        endpoint = moved
    raise StoreUnavailable("Redis: the cluster's nodes send each other round in circles")


async def _log_in(connection: RedisConnection, address: RedisAddress) -> None:
    if address.password is not None:
        await connection.ask(*_auth(address.username, address.password))
    if address.db:
        await connection.ask(b"SELECT", b"%d" % address.db)


async def _moved_to(connection: RedisConnection, key: bytes, endpoint: Endpoint | None) -> Endpoint | None:
    """Ask for a key; a cluster's node says which one is in charge of it where it is not itself."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    connection.send(encode(b"EXISTS", key), lambda reply: None if answered.done() else answered.set_result(reply))
    reply = await answered
    if isinstance(reply, StoreUnavailable):
        raise reply
    if not isinstance(reply, ErrorReply):
        return None
    if reply.code != "MOVED" or endpoint is None:
        raise StoreUnavailable(f"Redis answered {reply.code}", upstream_code=reply.code)
    host, _, port = reply.text.split()[2].rpartition(":")
    return host.strip("[]") or endpoint[0], int(port)


def _auth(username: str | None, password: str) -> list[bytes]:
    return [b"AUTH", *([username.encode()] if username else []), password.encode()]
