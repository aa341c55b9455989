"""What a cache was good for, counted for each tenant."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict

import msgspec

__all__ = ["CacheStats", "Tally"]

MAX_TENANTS = 10_000
"""How many tenants are counted apart; the counts of those not seen the longest go into the total alone."""


class CacheStats(msgspec.Struct, kw_only=True):
    """Counts since the cache was made; `stale` hits are among the `hits`, `errors` are questions that a store refused.

    `saved_usd` is what the answers of the hits had cost, `saved_seconds` how long they had taken. `entries` and `bytes`
    are what memory holds now, of all tenants together.
    """

    hits: int = 0
    misses: int = 0
    stale: int = 0
    stored: int = 0
    errors: int = 0
    saved_usd: float = 0.0
    saved_seconds: float = 0.0
    entries: int = 0
    bytes: int = 0

    @property
    def hit_rate(self) -> float | None:
        """The share of hits; None before the first question."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Tally:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone = CacheStats()
        self._tenants: OrderedDict[str | None, CacheStats] = OrderedDict()

    def forget_lock(self) -> None:
        """Have a lock that nobody holds, in a forked child: a thread of the parent may have held it."""
        self._lock = threading.Lock()

    def hit(self, tenant: str | None, *, stale: bool = False, usd: float = 0.0, seconds: float = 0.0) -> None:
        """Count an answer that was there, and what it saved."""
        with self._lock:
            stats = self._of(tenant)
            stats.hits += 1
            stats.saved_usd += usd
            stats.saved_seconds += seconds
            if stale:
                stats.stale += 1

    def saved(self, tenant: str | None, usd: float) -> None:
        """Count what a part of an answer saved."""
        with self._lock:
            self._of(tenant).saved_usd += usd

    def miss(self, tenant: str | None) -> None:
        """Count an answer that was not there."""
        with self._lock:
            self._of(tenant).misses += 1

    def stored(self, tenant: str | None) -> None:
        """Count an answer that was kept."""
        with self._lock:
            self._of(tenant).stored += 1

    def error(self) -> None:
        """Count a question that the store could not be asked: it is no tenant's fault."""
        with self._lock:
            self._gone.errors += 1

    def total(self) -> CacheStats:
        """Give the counts of everybody."""
        with self._lock:
            return functools.reduce(_added, self._tenants.values(), self._gone)

    def of(self, tenant: str | None) -> CacheStats:
        """Give the counts of one tenant."""
        with self._lock:
            found = self._tenants.get(tenant)
            return CacheStats() if found is None else msgspec.structs.replace(found)

    def _of(self, tenant: str | None) -> CacheStats:
        stats = self._tenants.get(tenant)
        if stats is not None:
            self._tenants.move_to_end(tenant)
            return stats
        stats = self._tenants[tenant] = CacheStats()
        if len(self._tenants) > MAX_TENANTS:
            self._gone = _added(self._gone, self._tenants.popitem(last=False)[1])
        return stats


def _added(one: CacheStats, other: CacheStats) -> CacheStats:
    return CacheStats(**{name: getattr(one, name) + getattr(other, name) for name in CacheStats.__struct_fields__})
