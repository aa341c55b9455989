"""The response cache: a call that was answered before is answered from there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.cache.answers import KeptAnswer, answer_data, answer_of, kept_answer
from gatewright.layers.cache.keeping import is_worth_keeping
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.cache.scope import stored_key
from gatewright.layers.cache.tiers import Found
from gatewright.layers.cache.vectors import VectorCache
from gatewright.pipeline.call import CacheWishes, Call, new_id
from gatewright.pipeline.events import CacheHit, CallSettled, CallStarted, Events
from gatewright.pipeline.fingerprint import fingerprint
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Outcome, Reply
from gatewright.pipeline.settling import keep_settling
from gatewright.types.folding import chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.responses import CacheStatus

__all__ = ["CacheLayer", "ModelIdentity"]

log = logging.getLogger("gatewright.cache")
_AS_CONFIGURED = CacheWishes()


class ModelIdentity(NamedTuple):
    """What a model name stands for: `name` is the same for all its names, `setup` for the same deployments.

    `fixed` are the parameters that its deployments set themselves, so that leaving them out is not the usual value.
    """

    name: str
    setup: str
    fixed: frozenset[str] = frozenset()


class CacheLayer:
    """Answers from `cache` what is there, keeps there what was answered well.

    `identify` tells what a model name stands for; `policy` is the version of the guards that an answer has passed.
    """

    def __init__(
        self,
        cache: CacheMechanism,
        ttl: float,
        *,
        clock: Clock,
        events: Events,
        identify: Callable[[str], ModelIdentity],
        policy: Callable[[Call], str] = lambda _: "",
    ) -> None:
        self._cache = cache
        self._ttl = ttl
        self._clock = clock
        self._events = events
        self._identify = identify
        self._policy = policy
        self._refreshing: set[str] = set()
        self._vectors = VectorCache(cache, ttl, clock)

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Answer a call from what is kept, or keep what answers it."""
        wishes = call.options.cache or _AS_CONFIGURED
        if isinstance(call.request, EmbedRequest):
            return await self._embed(call, wishes, proceed)
        if call.stream and not self._cache.config.answer_streams:
            return _marked(await proceed(call), "bypass")
        model = self._identify(call.request.model)
        digest = fingerprint(call.request, model.fixed)
        if digest is None:
            return _marked(await proceed(call), "bypass")
        key = self._key(call, wishes, model, digest)
        call = call.replace(fingerprint=digest)
        if wishes.no_cache:
            return await self._ask(call, wishes, key, proceed, "bypass")
        tiers = self._cache.tiers
        item = tiers.peek(key)
        found = Found(item, "memory") if item is not None else None
        if found is None and tiers.store is not None:
            found = await tiers.find(key)
        if found is None:
            return await self._miss(call, wishes, key, proceed)
        return await self._found(call, wishes, key, found, proceed)

    def _key(self, call: Call, wishes: CacheWishes, model: ModelIdentity, digest: bytes) -> str:
        options = call.options
        rest = f"{digest.hex()}:{model.setup}:{self._policy(call)}"
        if options.fallbacks or options.drop_params is not None:
            rest = f"{rest}:{options.drop_params}:{options.fallbacks}"
        style: str = call.generation.style
        return stored_key(call.caller.tenant_id, "answer", wishes.namespace, f"{style}:{model.name}:{rest}")

    async def _found(
        self, call: Call, wishes: CacheWishes, key: str, found: Found, proceed: Handler
    ) -> Reply[Any, Any]:
        item, now = found.item, self._cache.now()
        kept = kept_answer(item.data)
        if kept is None or (wishes.max_age is not None and now - item.stored_at > wishes.max_age):
            return await self._miss(call, wishes, key, proceed)
        if now <= item.fresh_until:
            return self._hit(call, kept, found, now)
        config = self._cache.config
        if now <= item.fresh_until + config.stale_while_revalidate:
            self._refresh(call, wishes, key, proceed)
            return self._hit(call, kept, found, now, stale=True)
        try:
            return await self._miss(call, wishes, key, proceed)
        except GatewayError as error:
            if not error.retryable or self._cache.now() > item.fresh_until + config.stale_if_error:
                raise
            return self._hit(call, kept, found, self._cache.now(), stale=True)

    def _hit(self, call: Call, kept: KeptAnswer, found: Found, now: float, *, stale: bool = False) -> Reply[Any, Any]:
        age = max(0.0, now - found.item.stored_at)
        self._cache.tally.hit(call.caller.tenant_id, stale=stale, usd=kept.cost_usd or 0.0, seconds=kept.seconds)
        if self._events.hears(CacheHit):
            self._events.emit(
                CacheHit(
                    call_id=call.id,
                    tier=found.tier,
                    age=age,
                    stale=stale,
                    saved_usd=kept.cost_usd,
                    saved_seconds=kept.seconds,
                )
            )
        reply = Reply.whole(answer_of(kept), chunks_of)
        reply.cached, reply.attempts = True, 0
        reply.cache_status, reply.cache_age = "stale" if stale else "hit", age
        return reply

    async def _miss(self, call: Call, wishes: CacheWishes, key: str, proceed: Handler) -> Reply[Any, Any]:
        self._cache.tally.miss(call.caller.tenant_id)
        return await self._ask(call, wishes, key, proceed, "miss")

    async def _ask(
        self, call: Call, wishes: CacheWishes, key: str, proceed: Handler, status: CacheStatus
    ) -> Reply[Any, Any]:
        began = self._clock.now()
        reply = _marked(await proceed(call), status)
        # What somebody else's call answered is kept by that call.
        if not (wishes.no_store or call.stream or reply.cached):
            reply.when_settled(lambda outcome: self._settled(call, wishes, key, self._clock.now() - began, outcome))
        return reply

    def _settled(self, call: Call, wishes: CacheWishes, key: str, seconds: float, outcome: Outcome[Any]) -> None:
        """Keep an answer that ended well; its caller does not wait for a store that is slow."""
        if outcome.state != "completed" or not is_worth_keeping(call.generation, outcome.value):
            return
        data = answer_data(outcome.value, seconds)
        if data is None or len(data) > self._cache.config.max_value_bytes:
            log.debug("an answer of %s is not kept: it is too large, or cannot be written", outcome.value.model)
            return
        items = {key: self._cache.item(data, wishes.ttl or self._ttl)}
        self._cache.keep_soon(items, call.caller.tenant_id)

    def _refresh(self, call: Call, wishes: CacheWishes, key: str, proceed: Handler) -> None:
        """Have an answer fetched anew, once at a time, while the stale one is given."""
        if key in self._refreshing:
            return
        self._refreshing.add(key)
        now = self._clock.now()
        deadline = None if call.deadline is None else now + call.deadline - call.started_at
        fresh = call.replace(id=new_id(), started_at=now, deadline=deadline, stream=False)
        keep_settling(self._refreshed(fresh, wishes, key, proceed))

    async def _refreshed(self, call: Call, wishes: CacheWishes, key: str, proceed: Handler) -> None:
        """Make a call of nobody's; it is told of as any other, for it has its price."""
        self._events.emit(CallStarted(call_id=call.id, call=call))
        try:
            reply = await self._ask(call, wishes, key, proceed, "miss")
            reply.when_settled(lambda outcome: self._tell(call, outcome))
            async with reply:
                await reply.value()
        except GatewayError as error:
            self._tell(call, Outcome("failed", None, error))
            log.info("an answer could not be fetched anew: %s", error.code)
        finally:
            self._refreshing.discard(key)

    def _tell(self, call: Call, outcome: Outcome[Any]) -> None:
        seconds = self._clock.now() - call.started_at
        self._events.emit(CallSettled(call_id=call.id, call=call, outcome=outcome, seconds=seconds))

    async def _embed(self, call: Call, wishes: CacheWishes, proceed: Handler) -> Reply[Any, Any]:
        model = self._identify(call.request.model)
        found = await self._vectors.find(call, wishes, model.fixed, f"{model.name}:{model.setup}:{self._policy(call)}")
        if found is None:
            return _marked(await proceed(call), "bypass")
        reply = await found.completed(proceed)
        if found.whole_hit and self._events.hears(CacheHit):
            self._events.emit(
                CacheHit(
                    call_id=call.id,
                    tier=found.tier,
                    age=found.age,
                    saved_usd=found.saved_usd,
                    saved_seconds=found.saved_seconds,
                )
            )
        return reply


def _marked(reply: Reply[Any, Any], status: CacheStatus) -> Reply[Any, Any]:
    reply.cache_status = status
    return reply
