"""The response cache: a call that was answered before is answered from there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.cache.answers import KeptAnswer, answer_of, kept_answer
from gatewright.layers.cache.asked import Asked, Model, Models, Policy
from gatewright.layers.cache.keeping import Keeper
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.cache.refresher import Refresher
from gatewright.layers.cache.scope import stored_key
from gatewright.layers.cache.vectors import VectorCache
from gatewright.pipeline.call import CacheWishes, Call
from gatewright.pipeline.events import CacheHit, Events
from gatewright.pipeline.fingerprint import fingerprint
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.storage.keyvalue.protocol import Item
from gatewright.types.folding import chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.responses import CacheStatus

__all__ = ["CacheLayer"]

_AS_CONFIGURED = CacheWishes()


class CacheLayer:
    """Answers from `cache` what is there, keeps there for `ttl` seconds what was answered well.

    `models` tells what a model's name stands for, `policy` the version of the guards that an answer has passed, and
    `is_known` which deployments are this gateway's own.
    """

    def __init__(
        self,
        cache: CacheMechanism,
        ttl: float,
        *,
        clock: Clock,
        events: Events,
        models: Models,
        policy: Policy = lambda _: "",
        is_known: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._cache = cache
        self._peek = cache.tiers.memory.peek
        self._clock = clock
        self._events = events
        self._models = models
        self._policy = policy
        self._keeper = Keeper(cache, ttl, is_known)
        self._refresher = Refresher(self._keeper, clock, events)
        self._vectors = VectorCache(cache, self._keeper, clock)

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Answer a call from what is kept, or keep what answers it."""
        request = call.request
        model = self._models(request.model)
        wishes = call.options.cache or _AS_CONFIGURED
        if type(request) is EmbedRequest:
            return await self._embed(call, wishes, model, proceed)
        digest = fingerprint(request, model.fixed)
        if digest is None or (call.stream and not self._cache.config.answer_streams):
            return _marked(await proceed(call), "bypass")
        key = self._key(call, request, wishes, model, digest)
        if wishes.no_cache:
            return await self._ask(Asked(call, wishes, model, key), digest, proceed, "bypass")
        item, tier = self._peek(key), "memory"
        if item is None and self._cache.tiers.store is not None:
            item, tier = await self._cache.tiers.find(key)
        now = self._cache.now()
        kept = None if item is None else _good(item, wishes.max_age, now)
        if item is None or kept is None:
            return await self._miss(Asked(call, wishes, model, key), digest, proceed)
        if now <= item.fresh_until:
            return self._hit(call, key, item, kept, tier)
        return await self._late(Asked(call, wishes, model, key), item, kept, tier, digest, proceed)

    def forget(self) -> None:
        """Let go of what is under way: its event loop is gone."""
        self._refresher.forget()

    def _key(self, call: Call, request: GenerateRequest, wishes: CacheWishes, model: Model, digest: bytes) -> str:
        options = call.options
        rest = f"{digest.hex()}:{model.setup}:{self._guards(call, model)}"
        if options.fallbacks or options.drop_params is not None:
            rest = f"{rest}:{options.drop_params}:{options.fallbacks}"
        return stored_key(call.caller, "answer", wishes.namespace, f"{request.style}:{model.name}:{rest}")

    def _guards(self, call: Call, model: Model) -> str:
        """Give the guards' version; they may hold for a model's name: an alias has answers of its own then."""
        policy, name = self._policy(call), call.request.model
        return policy if not policy or name == model.name else f"{policy}@{name}"

    async def _late(
        self, asked: Asked, item: Item, kept: KeptAnswer, tier: str, digest: bytes, proceed: Handler
    ) -> Reply[Any, Any]:
        """Answer with what is past its time: at once while it is fetched anew, or where asking anew fails."""
        config = self._cache.config
        if self._cache.now() <= item.fresh_until + config.stale_while_revalidate:
            self._refresher.refresh(asked, proceed)
            return self._hit(asked.call, asked.key, item, kept, tier, stale=True)
        try:
            return await self._miss(asked, digest, proceed)
        except GatewayError as error:
            if not error.retryable or self._cache.now() > item.fresh_until + config.stale_if_error:
                raise
            return self._hit(asked.call, asked.key, item, kept, tier, stale=True)

    def _hit(
        self, call: Call, key: str, item: Item, kept: KeptAnswer, tier: str, *, stale: bool = False
    ) -> Reply[Any, Any]:
        usd, seconds, age = kept.cost_usd, kept.seconds, self._cache.now() - item.stored_at
        self._cache.tally.hit(call.caller.tenant_id, stale=stale, usd=usd or 0.0, seconds=seconds)
        reply = Reply.whole(answer_of(kept), chunks_of)
        reply.cached, reply.attempts = True, 0
        reply.cache_status = "stale" if stale else "hit"
        reply.cache_age = age = age if age > 0.0 else 0.0
        reply.discard = self._discarding(key)
        if self._events.hears(CacheHit):
            self._events.emit(
                CacheHit(call_id=call.id, tier=tier, age=age, stale=stale, saved_usd=usd, saved_seconds=seconds)
            )
        return reply

    async def _miss(self, asked: Asked, digest: bytes, proceed: Handler) -> Reply[Any, Any]:
        self._cache.tally.miss(asked.tenant)
        return await self._ask(asked, digest, proceed, "miss")

    async def _ask(self, asked: Asked, digest: bytes, proceed: Handler, status: CacheStatus) -> Reply[Any, Any]:
        began = self._clock.now()
        call = asked.call.replace(fingerprint=digest)
        reply = _marked(await proceed(_fresh(call) if asked.wishes.no_cache else call), status)
        # What somebody else's call answered is kept by that call.
        if not (asked.wishes.no_store or asked.call.stream or reply.cached):
            reply.when_settled(lambda outcome: self._keeper.settled(asked, self._clock.now() - began, outcome))
            reply.discard = self._discarding(asked.key)
        return reply

    def _discarding(self, key: str) -> Callable[[], None]:
        return functools.partial(self._cache.drop_soon, key)

    async def _embed(self, call: Call, wishes: CacheWishes, model: Model, proceed: Handler) -> Reply[Any, Any]:
        found = await self._vectors.find(call, wishes, model, self._guards(call, model))
        if found is None:
            return _marked(await proceed(call), "bypass")
        if found.is_whole and self._events.hears(CacheHit):
            usd, seconds = found.saved_usd, found.saved_seconds
            self._events.emit(
                CacheHit(call_id=call.id, tier=found.tier, age=found.age, saved_usd=usd, saved_seconds=seconds)
            )
        return await found.completed(proceed)


def _good(item: Item, oldest: float | None, now: float) -> KeptAnswer | None:
    """Read an answer; None where it cannot be read, or is older than its caller wants."""
    if oldest is not None and now - item.stored_at > oldest:
        return None
    return kept_answer(item.data)


def _fresh(call: Call) -> Call:
    """Have a call that wants no answer of before share none of a moment ago either, unless it says so."""
    if call.options.deduplicate is not None:
        return call
    return call.replace(options=msgspec.structs.replace(call.options, deduplicate=False))


def _marked(reply: Reply[Any, Any], status: CacheStatus) -> Reply[Any, Any]:
    reply.cache_status = status
    return reply
