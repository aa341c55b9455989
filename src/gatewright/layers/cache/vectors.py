"""Vectors are kept text by text, so that a batch asks only for those that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.layers.cache.answers import KeptVector, kept_vector, vector_data
from gatewright.layers.cache.asked import Asked, Model
from gatewright.layers.cache.keeping import Keeper
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.cache.scope import stored_key
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

    def __init__(self, cache: CacheMechanism, keeper: Keeper, clock: Clock) -> None:
        self._cache = cache
        self._keeper = keeper
        self.clock = clock

    async def find(self, call: Call, wishes: CacheWishes, model: Model, policy: str) -> FoundVectors | None:
        """Look for the vector of each text; None where the request is like no other."""
        digests = text_fingerprints(call.embedding, model.fixed)
        if digests is None:
            return None
        rest = f":{model.setup}:{policy}"
        keys = [
            stored_key(call.caller, "vector", wishes.namespace, f"embed:{model.name}:{digest.hex()}{rest}")
            for digest in digests
        ]
        there = {} if wishes.no_cache else await self._there(list(dict.fromkeys(keys)), wishes)
        return FoundVectors(self, Asked(call, wishes, model, ""), keys, there)

    async def _there(self, keys: Sequence[str], wishes: CacheWishes) -> dict[str, Vector]:
        now = self._cache.now()
        there: dict[str, Vector] = {}
        for key, (item, tier) in zip(keys, await self._cache.tiers.find_all(keys), strict=True):
            kept = kept_vector(item.data) if item is not None and _is_good(item, wishes, now) else None
            if item is not None and kept is not None:
                there[key] = Vector(kept[0], kept[1], tier, max(0.0, now - item.stored_at))
        return there

    def count(self, found: FoundVectors) -> None:
        """Count a call as a hit if nothing has to be asked for, and what its vectors saved in any case."""
        tenant, tally = found.asked.tenant, self._cache.tally
        if found.is_whole:
            tally.hit(tenant, usd=found.saved_usd or 0.0, seconds=found.saved_seconds)
            return
        if not found.asked.wishes.no_cache:
            tally.miss(tenant)
        tally.saved(tenant, found.saved_usd or 0.0)

    def keep(self, found: FoundVectors, whole: Embeddings, keys: Sequence[str], seconds: float) -> None:
        """Keep what was asked for, each text with its part of the cost."""
        asked = found.asked
        if asked.wishes.no_store or not self._keeper.is_of(asked.model, whole):
            return
        parts = [_tokens(found.inputs[key]) for key in keys]
        total = sum(parts) or 1
        ttl = self._keeper.seconds(asked)
        items: dict[str, Item] = {}
        for key, vector, part in zip(keys, whole.vectors, parts, strict=True):
            cost = None if whole.cost_usd is None else whole.cost_usd * part / total
            items[key] = self._cache.item(vector_data(vector, whole, cost, seconds), ttl)
        self._cache.keep_soon(items, asked.tenant)


class Vector(msgspec.Struct, frozen=True):
    """A vector that was there, the name of the store where it was, and its age in seconds."""

    kept: KeptVector
    numbers: list[float]
    tier: str
    age: float


class FoundVectors:
    """What there is of the vectors of one call: `keys` has one for each text, `inputs` the texts by their keys."""

    def __init__(self, vectors: VectorCache, asked: Asked, keys: Sequence[str], there: Mapping[str, Vector]) -> None:
        self._vectors = vectors
        self.asked = asked
        self._keys = keys
        self.inputs = dict(zip(keys, asked.call.embedding.inputs, strict=True))
        self._there = there

    @property
    def is_whole(self) -> bool:
        """Whether nothing has to be asked for."""
        return len(self._there) == len(self.inputs)

    @property
    def tier(self) -> str:
        """Where the slowest of them was."""
        return next((one.tier for one in self._there.values() if one.tier != "memory"), "memory")

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
        if self.is_whole:
            return self._from_cache()
        reply = await self._joined(proceed)
        reply.cache_status = "bypass" if self.asked.wishes.no_cache else "miss"
        return reply

    def _from_cache(self) -> Reply[Any, Any]:
        first = self._there[self._keys[0]].kept
        whole = Embeddings(
            vectors=[list(self._there[key].numbers) for key in self._keys],
            model=first.model,
            provider=first.provider,
            deployment_id=first.deployment_id,
            cost_usd=0.0,
        )
        reply = Reply[Any, Embeddings].whole(whole)
        reply.cached, reply.attempts = True, 0
        reply.cache_status, reply.cache_age = "hit", self.age
        return reply

    async def _joined(self, proceed: Handler) -> Reply[Any, Any]:
        call = self.asked.call
        missing = [key for key in self.inputs if key not in self._there]
        if len(missing) < len(self._keys):
            inputs = [self.inputs[key] for key in missing]
            call = call.replace(request=msgspec.structs.replace(call.embedding, inputs=inputs))
        began = self._vectors.clock.now()
        reply = await proceed(call)
        async with reply:
            asked: Embeddings = await reply.value()
        # What somebody else's call answered is kept by that call.
        if not reply.cached:
            self._vectors.keep(self, asked, missing, self._vectors.clock.now() - began)
        if len(missing) == len(self._keys):
            return reply
        fresh = dict(zip(missing, asked.vectors, strict=True))
        vectors = [list(fresh[key] if key in fresh else self._there[key].numbers) for key in self._keys]
        whole = Reply[Any, Embeddings].whole(msgspec.structs.replace(asked, vectors=vectors))
        whole.attempts, whole.cached = reply.attempts, reply.cached
        return whole


def _tokens(one: str | list[int]) -> int:
    return text_tokens(one) if isinstance(one, str) else len(one)


def _is_good(item: Item, wishes: CacheWishes, now: float) -> bool:
    return now <= item.fresh_until and (wishes.max_age is None or now - item.stored_at <= wishes.max_age)
