"""Vectors are kept text by text, so that a batch asks only for those that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.layers.cache.answers import KeptVector, kept_vector, vector_data
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.cache.scope import stored_key
from gatewright.layers.cache.tiers import Found
from gatewright.pipeline.call import CacheWishes, Call
from gatewright.pipeline.fingerprint import text_fingerprints
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.storage.keyvalue.protocol import Item
from gatewright.types.estimates import text_tokens
from gatewright.types.results import Embeddings

__all__ = ["FoundVectors", "VectorCache"]


class VectorCache:
    """Finds the vectors of a call, and keeps those that were asked for."""

    def __init__(self, cache: CacheMechanism, ttl: float, clock: Clock) -> None:
        self._cache = cache
        self._ttl = ttl
        self.clock = clock

    async def find(self, call: Call, wishes: CacheWishes, fixed: frozenset[str], identity: str) -> FoundVectors | None:
        """Look for the vector of each text; None where the request is like no other."""
        digests = text_fingerprints(call.embedding, fixed)
        if digests is None:
            return None
        tenant, namespace = call.caller.tenant_id, wishes.namespace
        keys = [stored_key(tenant, "vector", namespace, f"embed:{identity}:{digest.hex()}") for digest in digests]
        unique = list(dict.fromkeys(keys))
        items = [] if wishes.no_cache else await self._cache.tiers.find_all(unique)
        now = self._cache.now()
        there: dict[str, Vector] = {}
        for key, found in zip(unique, items, strict=False):
            if found is not None and _is_good(found.item, wishes, now) and (kept := kept_vector(found.item.data)):
                there[key] = Vector(kept[0], kept[1], found, max(0.0, now - found.item.stored_at))
        return FoundVectors(self, call, wishes, keys, there)

    def count(self, found: FoundVectors) -> None:
        """Count a call as a hit if nothing had to be asked for, and what its vectors saved in any case."""
        tenant, tally = found.call.caller.tenant_id, self._cache.tally
        if found.whole_hit:
            tally.hit(tenant, usd=found.saved_usd or 0.0, seconds=found.saved_seconds)
        else:
            if not found.wishes.no_cache:
                tally.miss(tenant)
            tally.saved(tenant, found.saved_usd or 0.0)

    def keep(self, found: FoundVectors, whole: Embeddings, keys: Sequence[str], seconds: float) -> None:
        """Keep what was asked for, each text with its part of the cost."""
        call = found.call
        inputs = dict(zip(found.keys, call.embedding.inputs, strict=True))
        parts = [text_tokens(one) if isinstance(one, str) else len(one) for one in (inputs[key] for key in keys)]
        total = sum(parts) or 1
        ttl = found.wishes.ttl or self._ttl
        items: dict[str, Item] = {}
        for key, vector, part in zip(keys, whole.vectors, parts, strict=True):
            cost = None if whole.cost_usd is None else whole.cost_usd * part / total
            items[key] = self._cache.item(vector_data(vector, whole, cost, seconds), ttl)
        self._cache.keep_soon(items, call.caller.tenant_id)


class Vector(msgspec.Struct, frozen=True):
    """A vector that was there."""

    kept: KeptVector
    numbers: list[float]
    found: Found
    age: float


class FoundVectors:
    """What there is of the vectors of one call: `keys` has one for each text, `there` those that were found."""

    def __init__(
        self, vectors: VectorCache, call: Call, wishes: CacheWishes, keys: Sequence[str], there: Mapping[str, Vector]
    ) -> None:
        self._vectors = vectors
        self.call = call
        self.wishes = wishes
        self.keys = keys
        self._there = there

    @property
    def whole_hit(self) -> bool:
        """Whether nothing has to be asked for."""
        return len(self._there) == len(set(self.keys))

    @property
    def tier(self) -> str:
        """Where the slowest of them was."""
        return next((one.found.tier for one in self._there.values() if one.found.tier != "memory"), "memory")

    @property
    def age(self) -> float:
        """The seconds since the oldest was kept."""
        return max((one.age for one in self._there.values()), default=0.0)

    @property
    def saved_usd(self) -> float | None:
        """What those that were there had cost; None where nobody knows."""
        costs = [one.kept.cost_usd for one in self._there.values() if one.kept.cost_usd is not None]
        return sum(costs) if costs else None

    @property
    def saved_seconds(self) -> float:
        """How long the longest of their requests had taken."""
        return max((one.kept.seconds for one in self._there.values()), default=0.0)

    async def completed(self, proceed: Handler) -> Reply[Any, Any]:
        """Ask for what is missing, and give all vectors in the order of their texts."""
        self._vectors.count(self)
        reply = self._from_cache() if self.whole_hit else await self._asked(proceed)
        reply.cache_status = "hit" if self.whole_hit else "bypass" if self.wishes.no_cache else "miss"
        return reply

    def _from_cache(self) -> Reply[Any, Any]:
        first = self._there[self.keys[0]].kept
        whole = Embeddings(
            vectors=[list(self._there[key].numbers) for key in self.keys],
            model=first.model,
            provider=first.provider,
            deployment_id=first.deployment_id,
            cost_usd=0.0,
        )
        reply = Reply[Any, Embeddings].whole(whole)
        reply.cached, reply.attempts, reply.cache_age = True, 0, self.age
        return reply

    async def _asked(self, proceed: Handler) -> Reply[Any, Any]:
        call, inputs = self.call, dict(zip(self.keys, self.call.embedding.inputs, strict=True))
        missing = [key for key in inputs if key not in self._there]
        request = call.embedding
        if len(missing) < len(self.keys):
            request = msgspec.structs.replace(request, inputs=[inputs[key] for key in missing])
        began = self._vectors.clock.now()
        reply = await proceed(call.replace(request=request))
        async with reply:
            asked: Embeddings = await reply.value()
        if not (self.wishes.no_store or reply.cached):
            self._vectors.keep(self, asked, missing, self._vectors.clock.now() - began)
        if len(missing) == len(self.keys):
            return reply
        fresh = dict(zip(missing, asked.vectors, strict=True))
        vectors = [list(fresh[key] if key in fresh else self._there[key].numbers) for key in self.keys]
        merged = Reply[Any, Embeddings].whole(msgspec.structs.replace(asked, vectors=vectors))
        merged.attempts, merged.cached = reply.attempts, reply.cached
        return merged


def _is_good(item: Item, wishes: CacheWishes, now: float) -> bool:
    return now <= item.fresh_until and (wishes.max_age is None or now - item.stored_at <= wishes.max_age)
