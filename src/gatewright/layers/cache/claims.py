"""Whose turn it is to compute a value, among the processes that share a store."""

from __future__ import annotations

import asyncio
import os
import time
from typing import NamedTuple

from gatewright.layers.cache.tiers import Tiers
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue.protocol import Item

__all__ = ["Claim", "Claims"]

FIRST_LOOK, LONGEST_LOOK = 0.01, 0.2


class Claim(NamedTuple):
    """A turn that is held under `key` by its `token`; `item` is the value where another made it meanwhile."""

    key: str
    token: bytes
    item: Item | None


class Claims:
    """A turn is a key of its own in the store, which goes away with `seconds` if its holder does not give it back."""

    def __init__(self, tiers: Tiers, seconds: float) -> None:
        self._tiers = tiers
        self._seconds = seconds

    async def claim(self, key: str) -> Claim:
        """Wait until it is this process's turn, or the value is there; a store that fails has nobody wait."""
        store = self._tiers.store
        assert store is not None
        turn, token = f"{key}|4:turn", os.urandom(16)
        until, pause = time.monotonic() + self._seconds, FIRST_LOOK
        try:
            while True:
                now = time.time()
                mine = await store.add(turn, Item(token, now, now + self._seconds, now + self._seconds))
                if mine or time.monotonic() > until:
                    found = await self._tiers.find(key)
                    return Claim(turn, token if mine else b"", found.item)
                found = await self._tiers.find(key)
                if found.item is not None:
                    return Claim(turn, b"", found.item)
                await asyncio.sleep(pause)
                pause = min(LONGEST_LOOK, 2 * pause)
        except StoreUnavailable:
            return Claim(turn, b"", None)

    async def release(self, claim: Claim) -> None:
        """Give a turn back."""
        store = self._tiers.store
        if store is None or not claim.token:
            return
        try:
            await store.delete_equal(claim.key, claim.token)
        except StoreUnavailable:
            return  # it goes away by itself
