"""What a store of values by keys can do, wherever it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = ["Item", "KeyValueStore", "Matches"]

Matches = Callable[[str], bool]


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A value as bytes, and its times in seconds since 1970: after `fresh_until` it is stale, at `expires_at` gone."""

    data: bytes
    stored_at: float
    fresh_until: float
    expires_at: float


class KeyValueStore(Protocol):
    """Keeps items until they expire or have to make room; `StoreUnavailable`, soon, where it cannot be asked."""

    name: str

    async def get(self, keys: Sequence[str]) -> list[Item | None]:
        """Give the item of each key; None where there is none, or it expired."""
        ...

    async def set(self, items: Mapping[str, Item]) -> None:
        """Keep items, in place of what was there."""
        ...

    async def add(self, key: str, item: Item) -> bool:
        """Keep an item where none is; False where one is."""
        ...

    async def delete(self, keys: Sequence[str]) -> int:
        """Let go of keys, and say how many of them were there."""
        ...

    async def delete_equal(self, key: str, data: bytes) -> bool:
        """Let go of a key only if its value is `data`."""
        ...

    async def delete_matching(self, prefix: str, matches: Matches) -> int:
        """Let go of all keys that begin with `prefix` and match, and say how many they were."""
        ...

    async def check(self) -> None:
        """Raise where it cannot be asked."""
        ...

    async def aclose(self) -> None:
        """Close it for the running event loop; it is opened anew when it is asked again."""
        ...

    def close(self) -> None:
        """Close it for good, wherever this runs."""
        ...
