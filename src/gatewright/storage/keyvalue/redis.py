"""Values in a Redis or Valkey that many processes share."""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue.protocol import Item, Matches
from gatewright.storage.redis import RedisAddress, RedisStore, Script
from gatewright.storage.redis.store import PATIENCE

__all__ = ["RedisKeyValues"]

KEYS_AT_ONCE = 64
"""In one command: many large values have to come within the store's patience."""
_TIMES = struct.Struct(">ddd")
_DELETE_EQUAL = Script(
    f"""
local kept = redis.call('GET', KEYS[1])
if kept and string.sub(kept, {_TIMES.size + 1}) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
)
_SPECIAL = re.compile(rb"[*?\[\]\\^-]")


class RedisKeyValues:
    """Each event loop has a connection of its own; all keys begin with the `namespace`, which is on one cluster node.

    The server lets expired keys go by itself. How much it holds is its own `maxmemory` to say: with a policy such as
    `allkeys-lfu` it makes room, with `noeviction` it refuses what is new, which is then not cached.
    """

    name = "redis"

    def __init__(self, url: str, namespace: str = "gatewright", *, now: Callable[[], float] = time.time) -> None:
        self._address = RedisAddress.parse(url)
        self._namespace = f"{namespace}:cache"
        self._now = now
        self._stores: WeakKeyDictionary[asyncio.AbstractEventLoop, RedisStore] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<RedisKeyValues {self._address.where}>"

    async def get(self, keys: Sequence[str]) -> list[Item | None]:
        """Give the item of each key."""
        store = self._store()
        items: list[Item | None] = []
        for start in range(0, len(keys), KEYS_AT_ONCE):
            names = [store.key(key) for key in keys[start : start + KEYS_AT_ONCE]]
            kept: list[bytes | None] = await store.ask(b"MGET", *names)
            items += [self._item(one) for one in kept]
        return items

    async def set(self, items: Mapping[str, Item]) -> None:
        """Keep items."""
        store = self._store()
        commands = [(b"SET", store.key(key), *self._written(item)) for key, item in items.items()]
        for start in range(0, len(commands), KEYS_AT_ONCE):
            await _all(store.ask(*command) for command in commands[start : start + KEYS_AT_ONCE])

    async def add(self, key: str, item: Item) -> bool:
        """Keep an item where none is."""
        store = self._store()
        return await store.ask(b"SET", store.key(key), *self._written(item), b"NX") is not None

    async def delete(self, keys: Sequence[str]) -> int:
        """Let go of keys."""
        store = self._store()
        return await self._unlinked(store, [store.key(key) for key in keys])

    async def delete_equal(self, key: str, data: bytes) -> bool:
        """Let go of a key only if its value is `data`."""
        store = self._store()
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        store.run(
            _DELETE_EQUAL,
            [store.key(key)],
            [data],
            lambda reply: None if answered.done() else answered.set_result(reply),
        )
        reply = await answered
        if isinstance(reply, StoreUnavailable):
            raise reply
        return bool(reply)

    async def delete_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of all keys that begin with `prefix` and match; what is set meanwhile may stay."""
        store = self._store()
        begin, skipped = store.key(prefix), len(store.key(""))
        pattern = _SPECIAL.sub(rb"\\\g<0>", begin) + b"*"
        cursor, gone = b"0", 0
        while True:
            cursor, names = await store.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"1000")
            found = [name for name in names if matches(name[skipped:].decode("utf-8", "surrogatepass"))]
            gone += await self._unlinked(store, found)
            if cursor == b"0":
                return gone

    async def check(self) -> None:
        """Raise where it does not answer."""
        await self._store().check()

    async def aclose(self) -> None:
        """Close the running loop's connection."""
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.aclose()

    def close(self) -> None:
        """Let go of the connections whose loops are gone; each loop that runs closes its own."""
        self._prune()

    def _store(self) -> RedisStore:
        loop = asyncio.get_running_loop()
        store = self._stores.get(loop)
        if store is None:
            self._prune()
            store = self._stores[loop] = RedisStore(
                self._address, namespace=self._namespace, scripts=[_DELETE_EQUAL], patience=PATIENCE
            )
        return store

    def _prune(self) -> None:
        for loop, store in list(self._stores.items()):
            if loop.is_closed():
                del self._stores[loop]
                store.abandon()

    def _written(self, item: Item) -> tuple[bytes, bytes, bytes]:
        milliseconds = max(1, round((item.expires_at - self._now()) * 1000))
        times = _TIMES.pack(item.stored_at, item.fresh_until, item.expires_at)
        return times + item.data, b"PX", b"%d" % milliseconds

    def _item(self, kept: bytes | None) -> Item | None:
        if kept is None or len(kept) < _TIMES.size:
            return None
        stored_at, fresh_until, expires_at = _TIMES.unpack_from(kept)
        return Item(kept[_TIMES.size :], stored_at, fresh_until, expires_at) if expires_at > self._now() else None

    async def _unlinked(self, store: RedisStore, names: Sequence[bytes]) -> int:
        gone = 0
        for start in range(0, len(names), 1000):
            gone += await store.ask(b"UNLINK", *names[start : start + 1000])
        return gone


async def _all(asking: Any) -> None:
    """Wait for all, then raise the first failure."""
    for result in await asyncio.gather(*asking, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
