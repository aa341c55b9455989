"""Memory, or memory before a store that is slower and shared: asked in this order, and never waited for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gatewright.layers.cache.config import CacheConfig
from gatewright.storage.data_directory import data_directory
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue.memory import MemoryStore
from gatewright.storage.keyvalue.protocol import Item, KeyValueStore, Matches

__all__ = ["Found", "Tiers"]


class Found(NamedTuple):
    """An item, None where there is none, and the name of the store where it was."""

    item: Item | None
    tier: str


class Tiers:
    """`store` is None where memory is all there is; what a store fails at is told to `failed`."""

    def __init__(
        self, config: CacheConfig, *, failed: Callable[[], None] = lambda: None, now: Callable[[], float] = time.time
    ) -> None:
        self.store: KeyValueStore | None = _store(config, now)
        self.memory = MemoryStore(config.max_entries, config.max_bytes, now=now)
        self._memory_ttl = config.memory_ttl
        self._failed = failed
        self._now = now
        # What was read from the store while something was replaced or deleted there is not put into memory.
        self._changes = 0

    def peek(self, key: str) -> Item | None:
        """Give what memory has."""
        return self.memory.peek(key)

    async def find(self, key: str) -> Found:
        """Give what any tier has."""
        return (await self.find_all((key,)))[0]

    async def find_all(self, keys: Sequence[str]) -> list[Found]:
        """Give what any tier has of each key; a store that does not answer has nothing."""
        found = [Found(self.memory.peek(key), self.memory.name) for key in keys]
        missing = [place for place, one in enumerate(found) if one.item is None]
        if self.store is None or not missing:
            return found
        changes = self._changes
        try:
            items = await self.store.get([keys[place] for place in missing])
        except StoreUnavailable:
            self._failed()
            return found
        for place, item in zip(missing, items, strict=True):
            found[place] = Found(item, self.store.name)
            if item is not None and changes == self._changes:
                self._hold(keys[place], item)
        return found

    def hold(self, items: Mapping[str, Item]) -> None:
        """Keep items in memory; where there is a store, `keep` has to follow."""
        for key, item in items.items():
            self._hold(key, item)

    async def keep(self, items: Mapping[str, Item]) -> bool:
        """Keep items in the store; False where it does not answer."""
        if self.store is None:
            return True
        self._changes += 1
        try:
            await self.store.set(items)
        except StoreUnavailable:
            self._failed()
            return False
        return True

    async def delete(self, keys: Sequence[str]) -> int:
        """Let go of keys everywhere; `StoreUnavailable` where the store could not be told."""
        gone = self._drop(keys)
        if self.store is not None:
            gone = await self.store.delete(keys)
            self._drop(keys)
        return gone

    async def delete_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of what matches everywhere; `StoreUnavailable` where the store could not be told."""
        gone = self._drop_matching(prefix, matches)
        if self.store is not None:
            gone = await self.store.delete_matching(prefix, matches)
            self._drop_matching(prefix, matches)
        return gone

    def _drop(self, keys: Sequence[str]) -> int:
        self._changes += 1
        return sum(self.memory.drop(key) for key in keys)

    def _drop_matching(self, prefix: str, matches: Matches) -> int:
        self._changes += 1
        return self.memory.drop_matching(prefix, matches)

    def _hold(self, key: str, item: Item) -> None:
        if self.store is not None:
            if self._memory_ttl <= 0:
                return
            until = min(item.expires_at, self._now() + self._memory_ttl)
            item = msgspec.structs.replace(item, expires_at=until)
        self.memory.put(key, item)


def _store(config: CacheConfig, now: Callable[[], float]) -> KeyValueStore | None:
    """Make the store of a configuration; its modules are imported only where it is wanted."""
    if config.backend == "redis":
        from gatewright.storage.keyvalue.redis import RedisKeyValues

        assert config.redis_url is not None
        return RedisKeyValues(config.redis_url.get_secret_value(), config.redis_namespace, now=now)
    if config.backend == "file":
        from gatewright.storage.keyvalue.file import FileStore

        path = config.path or data_directory(None) / "cache.sqlite3"
        return FileStore(path, config.max_entries, config.max_bytes, now=now)
    return None
