"""Values in this process's memory, bounded by number and by bytes; what is asked for often stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gatewright.storage.keyvalue.protocol import Item, Matches

if TYPE_CHECKING:
    from moka_py import Moka

__all__ = ["MemoryStore"]

OVERHEAD_BYTES = 600
"""What an entry takes beside its value and twice its key: a little more than was measured on CPython 3.11."""


class MemoryStore:
    """A W-TinyLFU cache (Moka), safe to use from many threads; `peek` and `put` do not await.

    Each entry weighs its bytes, but at least its share of `max_bytes` among `max_entries`: so both bounds hold.
    """

    name = "memory"

    def __init__(
        self,
        max_entries: int = 100_000,
        max_bytes: int = 256 * 1024 * 1024,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        from moka_py import Moka  # only where something is cached

        self._now = now
        self._least = -(-max_bytes // max_entries)
        # Moka cannot list its keys: this can, and hears of whatever Moka lets go of.
        self._listed: dict[str, Item] = {}
        self._items: Moka[str, Item] = Moka(max_bytes, weigher=self._weight, eviction_listener=self._gone)

    def _weight(self, key: str, item: Item) -> int:
        return max(self._least, len(item.data) + 2 * len(key) + OVERHEAD_BYTES)

    def _gone(self, key: str, item: Item, _cause: str) -> None:
        if self._listed.get(key) is item:
            self._listed.pop(key, None)

    def peek(self, key: str) -> Item | None:
        """Give the item of a key; None where there is none, or it expired."""
        item = self._items.get(key)
        return item if item is None or item.expires_at > self._now() else None

    def put(self, key: str, item: Item) -> None:
        """Keep an item."""
        seconds = item.expires_at - self._now()
        if seconds > 0:
            self._listed[key] = item
            self._items.set(key, item, ttl=seconds)

    def drop(self, key: str) -> bool:
        """Let go of a key; False where it was not there."""
        self._listed.pop(key, None)
        item = self._items.remove(key)
        return item is not None and item.expires_at > self._now()

    def drop_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of all keys that begin with `prefix` and match."""
        found = [key for key in list(self._listed) if key.startswith(prefix) and matches(key)]
        return sum(self.drop(key) for key in found)

    @property
    def entries(self) -> int:
        """How many items it holds."""
        self._items.run_pending_tasks()
        return self._items.count()

    @property
    def size(self) -> int:
        """How many bytes it reckons that they take."""
        self._items.run_pending_tasks()
        return self._items.weighted_size()

    async def get(self, keys: Sequence[str]) -> list[Item | None]:
        """Give the item of each key."""
        return [self.peek(key) for key in keys]

    async def set(self, items: Mapping[str, Item]) -> None:
        """Keep items."""
        for key, item in items.items():
            self.put(key, item)

    async def add(self, key: str, item: Item) -> bool:
        """Keep an item where none is."""
        if self.peek(key) is not None:
            return False
        self._listed[key] = item
        kept = self._items.get_with(key, lambda: item, ttl=max(0.0, item.expires_at - self._now()))
        return kept is item

    async def delete(self, keys: Sequence[str]) -> int:
        """Let go of keys."""
        return sum(self.drop(key) for key in keys)

    async def delete_equal(self, key: str, data: bytes) -> bool:
        """Let go of a key only if its value is `data`."""
        item = self.peek(key)
        return item is not None and item.data == data and self.drop(key)

    async def delete_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of all keys that begin with `prefix` and match."""
        return self.drop_matching(prefix, matches)

    async def check(self) -> None:
        """Be well."""

    async def aclose(self) -> None:
        """Keep what is there: memory is bound to no loop."""

    def close(self) -> None:
        """Let go of everything."""
        self._listed.clear()
        self._items.clear()
