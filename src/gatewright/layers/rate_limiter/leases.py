"""The permits of calls at once that this process holds: they lapse if it dies, and are renewed while it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gatewright.layers.rate_limiter.shared_terms import RENEW
from gatewright.storage.redis import RedisStore

__all__ = ["LEASE", "Leases"]

LEASE = 12.0
"""Seconds for which a permit stays taken of which nothing is heard."""
RENEWAL = 3.0


class Leases:
    """Knows the sets in which each permit is, and keeps them there."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._held: dict[bytes, Sequence[bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, permit: bytes, keys: Sequence[bytes]) -> None:
        """Keep a permit, which is in these sets."""
        self._held[permit] = keys
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(RENEWAL, self._ring)

    def end(self, permit: bytes) -> Sequence[bytes]:
        """Keep it no longer; gives the sets in which it is."""
        return self._held.pop(permit, ())

    def renew(self) -> None:
        """Renew them all, now."""
        sets: dict[bytes, list[bytes]] = {}
        for permit, keys in self._held.items():
            for key in keys:
                sets.setdefault(key, []).append(permit)
        if sets:
            names = [b"".join(permits) for permits in sets.values()]
            self._store.run(RENEW, list(sets), [b"%f" % LEASE, *names], _ignored)

    def abandon(self) -> dict[bytes, Sequence[bytes]]:
        """Forget them, and give them: they lapse unless they are released."""
        held, self._held = self._held, {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return held

    def _ring(self) -> None:
        self._timer = None
        if self._held:
            self.renew()
            self._timer = asyncio.get_running_loop().call_later(RENEWAL, self._ring)


def _ignored(reply: Any) -> None:
    """Take note of nothing: what failed is tried again soon, and the store says that it fails."""
