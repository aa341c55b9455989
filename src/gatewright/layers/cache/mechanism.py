"""A cache that can be used alone: values by keys, apart for each tenant, from blocking code and from any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Self, TypeVar

from gatewright.errors import ConfigurationError
from gatewright.layers.cache.blocking import BlockingSide
from gatewright.layers.cache.checks import checked_key, checked_ttl, decoded, encoded
from gatewright.layers.cache.claims import Claims
from gatewright.layers.cache.computing import Computing
from gatewright.layers.cache.config import CacheConfig
from gatewright.layers.cache.scope import matching, stored_key, tenant_of, tenant_prefix
from gatewright.layers.cache.stats import CacheStats, Tally
from gatewright.layers.cache.tiers import Tiers
from gatewright.pipeline.settling import keep_settling
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue.protocol import Item
from gatewright.types.caller import Caller

__all__ = ["CacheMechanism"]

T = TypeVar("T")
SETTLING_SECONDS = 2.0
_NOTHING = object()


class CacheMechanism:
    """Keeps values for a time, in memory, in a file or in Redis.

    A value is whatever MessagePack has a form for: texts, numbers, bytes, lists, dictionaries; each reader gets a copy
    of its own. `tenant_id` None is a tenant too: the one without a name. Where the store does not answer a question is
    answered as if there were nothing; `delete`, `invalidate_pattern` and `clear` raise `StoreUnavailable` then.
    """

    def __init__(self, config: CacheConfig | None = None, *, now: Callable[[], float] = time.time) -> None:
        if config is not None and not isinstance(config, CacheConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"config: expected a CacheConfig, got {type(config).__name__}", param="config")
        self.config = config or CacheConfig()
        self.now = now
        self.tally = Tally()
        self.tiers = Tiers(self.config, failed=self.tally.error, now=now)
        claims = Claims(self.tiers, self.config.compute_timeout) if self.tiers.store is not None else None
        self._computing = Computing(claims, self._keep, self._wait)
        self._blocking = BlockingSide()
        self._keeping: set[asyncio.Task[None]] = set()
        _mechanisms.add(self)

    def get(self, key: str, tenant_id: str | None = None, *, default: Any = None, namespace: str = "") -> Any:
        """Give the value of a key, `default` where there is none."""
        stored = _key(tenant_id, namespace, key)
        item = self.tiers.peek(stored) or self._wait(self._found, stored)
        return self._value(item, tenant_id, default)

    async def get_async(
        self, key: str, tenant_id: str | None = None, *, default: Any = None, namespace: str = ""
    ) -> Any:
        """Do what `get` does."""
        stored = _key(tenant_id, namespace, key)
        item = self.tiers.peek(stored) or await self._found(stored)
        return self._value(item, tenant_id, default)

    def set(
        self, key: str, value: Any, tenant_id: str | None = None, *, ttl: float | None = None, namespace: str = ""
    ) -> None:
        """Keep a value for `ttl` seconds, the configuration's `default_ttl` where that is None."""
        self._wait(self._keep, _key(tenant_id, namespace, key), self._made(value, ttl))

    async def set_async(
        self, key: str, value: Any, tenant_id: str | None = None, *, ttl: float | None = None, namespace: str = ""
    ) -> None:
        """Do what `set` does."""
        await self._keep(_key(tenant_id, namespace, key), self._made(value, ttl))

    def delete(self, key: str, tenant_id: str | None = None, *, namespace: str = "") -> bool:
        """Let go of a key; False where it was not there."""
        return self._wait(self.delete_async, key, tenant_id, namespace=namespace)

    async def delete_async(self, key: str, tenant_id: str | None = None, *, namespace: str = "") -> bool:
        """Do what `delete` does."""
        return await self.tiers.delete([_key(tenant_id, namespace, key)]) > 0

    def invalidate_pattern(self, pattern: str, tenant_id: str | None = None, *, namespace: str | None = None) -> int:
        """Let go of a tenant's keys that match `pattern`, answers of a gateway among them, and say how many they were.

        `*` stands for any text, `?` for one character, `[a-z]` for one of several. Without a namespace those of every
        namespace match. A gateway's answers have keys such as `chat:gpt-4o:…`, its vectors `embed:model:…`.
        """
        return self._wait(self.invalidate_pattern_async, pattern, tenant_id, namespace=namespace)

    async def invalidate_pattern_async(
        self, pattern: str, tenant_id: str | None = None, *, namespace: str | None = None
    ) -> int:
        """Do what `invalidate_pattern` does."""
        checked_key("", tenant_id, namespace or "", empty=True)
        prefix = tenant_prefix(tenant_id)
        return await self.tiers.delete_matching(prefix, matching(pattern, namespace, prefix))

    def clear(self, *, tenant_id: str | None = None) -> int:
        """Let go of everything of a tenant, or of everybody; say how many values they were."""
        return self._wait(self.clear_async, tenant_id=tenant_id)

    async def clear_async(self, *, tenant_id: str | None = None) -> int:
        """Do what `clear` does."""
        checked_key("", tenant_id, "", empty=True)
        prefix = "" if tenant_id is None else tenant_prefix(tenant_id)
        return await self.tiers.delete_matching(prefix, lambda _: True)

    def stats(self, tenant_id: str | None = None) -> CacheStats:
        """Give what this process counted, of one tenant or of everybody; what memory holds is told of everybody."""
        stats = self.tally.total() if tenant_id is None else self.tally.of(tenant_id)
        stats.entries, stats.bytes = self.tiers.memory.entries, self.tiers.memory.size
        return stats

    async def stats_async(self, tenant_id: str | None = None) -> CacheStats:
        """Do what `stats` does."""
        return self.stats(tenant_id)

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], Any],
        tenant_id: str | None = None,
        *,
        ttl: float | None = None,
        namespace: str = "",
    ) -> Any:
        """Give the value of a key; where there is none, compute it once, however many want it, and keep it.

        The others wait, in other threads and event loops, and in other processes where they share the store. What
        `compute` raises is raised to all of them, and not kept.
        """
        stored = _key(tenant_id, namespace, key)
        checked_ttl(ttl, self.config.default_ttl)
        while True:
            value = self.get(key, tenant_id, default=_NOTHING, namespace=namespace)
            if value is not _NOTHING:
                return value
            data = self._computing.once(stored, lambda: self._made(compute(), ttl))
            if data is not None:
                return decoded(data)

    async def get_or_compute_async(
        self,
        key: str,
        compute: Callable[[], Awaitable[Any] | Any],
        tenant_id: str | None = None,
        *,
        ttl: float | None = None,
        namespace: str = "",
    ) -> Any:
        """Do what `get_or_compute` does; `compute` may be a coroutine function."""
        stored = _key(tenant_id, namespace, key)
        checked_ttl(ttl, self.config.default_ttl)

        async def make() -> Item:
            value = compute()
            return self._made(await value if inspect.isawaitable(value) else value, ttl)

        while True:
            value = await self.get_async(key, tenant_id, default=_NOTHING, namespace=namespace)
            if value is not _NOTHING:
                return value
            data = await self._computing.once_async(stored, make)
            if data is not None:
                return decoded(data)

    def close(self) -> None:
        """Close what is open; what is asked again is opened anew. Memory keeps what it holds."""
        store = self.tiers.store
        if store is not None:
            self._blocking.stop(store.aclose)
            store.close()

    async def aclose(self) -> None:
        """Close what is bound to the running event loop, and what is bound to none."""
        store = self.tiers.store
        if store is not None:
            await store.aclose()
            await asyncio.to_thread(self.close)

    def start_afresh(self) -> None:
        """Forget, in a forked child, what is under way in the parent; what is kept stays."""
        self.tally.forget_lock()
        self._computing.forget()
        self._blocking.forget()
        self._keeping = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<CacheMechanism in {self.config.backend}>"

    def item(self, data: bytes, ttl: float) -> Item:
        """Make what is kept of a value for `ttl` seconds, and for as long after as it may be given stale."""
        now = self.now()
        late = max(self.config.stale_while_revalidate, self.config.stale_if_error)
        return Item(data, now, now + ttl, now + ttl + late)

    def keep_soon(self, items: Mapping[str, Item], tenant_id: str | None) -> None:
        """Keep items in memory now, and in the store, where there is one, as soon as it takes them."""
        self.tiers.hold(items)
        if self.tiers.store is None:
            self.tally.stored(tenant_id)
        else:
            self._go_on(self._keep_all(items, tenant_id))

    def drop_soon(self, stored: str) -> None:
        """Let go of a stored key in memory now, and in the store as soon as it can be told."""
        if self.tiers.store is None:
            self.tiers.memory.drop(stored)
        else:
            self._go_on(self._dropped(stored))

    async def _dropped(self, stored: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # it is not there for anyone, until it expires
            await self.tiers.delete([stored])

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = keep_settling(work)
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def settled(self) -> None:
        """Wait until what is being kept in the store is there, or has failed; that takes moments."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._keeping if task.get_loop() is loop]
        if tasks:
            await asyncio.wait(tasks, timeout=SETTLING_SECONDS)

    async def _found(self, stored: str) -> Item | None:
        return (await self.tiers.find(stored)).item

    async def _keep(self, stored: str, item: Item) -> None:
        self.tiers.hold({stored: item})
        await self._keep_all({stored: item}, tenant_of(stored))

    async def _keep_all(self, items: Mapping[str, Item], tenant_id: str | None) -> None:
        if await self.tiers.keep(items):
            self.tally.stored(tenant_id)

    def _made(self, value: Any, ttl: float | None) -> Item:
        seconds = checked_ttl(ttl, self.config.default_ttl)
        now = self.now()
        return Item(encoded(value, self.config.max_value_bytes), now, now + seconds, now + seconds)

    def _value(self, item: Item | None, tenant_id: str | None, default: Any) -> Any:
        if item is None:
            self.tally.miss(tenant_id)
            return default
        self.tally.hit(tenant_id)
        return decoded(item.data)

    def _wait(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any, **named: Any) -> T:
        """Run `work` to its end in blocking code: here where only memory is asked, which never awaits."""
        if self.tiers.store is not None:
            return self._blocking.run(lambda: work(*args, **named))
        coroutine = work(*args, **named)
        try:
            coroutine.send(None)
        except StopIteration as ended:
            return ended.value
        coroutine.close()
        raise AssertionError("memory does not await")


def _key(tenant_id: str | None, namespace: str, key: str) -> str:
    checked_key(key, tenant_id, namespace)
    return stored_key(Caller(tenant_id=tenant_id), "value", namespace, key)


_mechanisms: weakref.WeakSet[CacheMechanism] = weakref.WeakSet()


def _in_child() -> None:
    for mechanism in list(_mechanisms):
        mechanism.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
