"""The response cache's place in a gateway: which cache it is, what its keys know of the models, and its health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.layers.cache.asked import Model
from gatewright.layers.cache.config import CacheConfig
from gatewright.layers.cache.layer import CacheLayer
from gatewright.layers.cache.mechanism import CacheMechanism
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.fingerprint import USUAL
from gatewright.pipeline.layer import Layer

__all__ = ["Caching"]

MAX_NAMES = 4096
"""How many models' names are remembered: callers choose those of models made on demand."""
_encoded = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


class Caching:
    """The cache of one gateway, where it has one: made of its configuration, or the user's own.

    `policy` is the version of the guards that an answer passes on its way in. A cache that was made here is closed
    here; of the user's own only what is bound to the gateway's event loop is.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        events: Events,
        table: Callable[[], RoutingTable],
        policy: Callable[[Call], str] = lambda _: "",
    ) -> None:
        self.cache = _cache_of(config)
        self._own = self.cache is not config.cache
        self._table = table
        self._models: dict[str, tuple[Group, Model]] = {}
        self._layer: CacheLayer | None = None
        if self.cache is not None:
            ttl = config.cache_ttl
            self._layer = CacheLayer(
                self.cache,
                self.cache.config.default_ttl if ttl is None else ttl,
                clock=clock,
                events=events,
                models=self.model,
                policy=policy,
                is_known=self._is_known,
            )

    def layers(self) -> list[Layer]:
        """Give the cache's layer; none where it is off."""
        return [] if self._layer is None else [self._layer]

    def checks(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """Give the health check of the cache's store, where it has one beside memory."""
        store = None if self.cache is None else self.cache.tiers.store
        return {} if store is None else {"cache": store.check}

    def model(self, name: str) -> Model:
        """Tell what a model's name stands for: aliases share their model's answers, other deployments do not."""
        group = self._table().find(name)
        known = self._models.get(name)
        if known is not None and known[0] is group:
            return known[1]
        if len(self._models) > MAX_NAMES:
            self._models.clear()
        deployments = frozenset(state.deployment.id for state in group.states)
        model = Model(group.name, _setup(group), _fixed(group), deployments)
        self._models[name] = (group, model)
        return model

    def _is_known(self, deployment_id: str) -> bool:
        groups = self._table().groups()
        return any(state.deployment.id == deployment_id for group in groups for state in group.states)

    async def aclose(self) -> None:
        """Close what is bound to the running loop, once everything is kept; all of a cache that was made here."""
        if self.cache is None:
            return
        await self.cache.settled()
        store = self.cache.tiers.store
        if self._own:
            await self.cache.aclose()
        elif store is not None:
            await store.aclose()

    def abandon(self) -> None:
        """Forget what was under way: its event loop is gone."""
        if self._layer is not None:
            self._layer.forget()


def _cache_of(config: GatewayConfig) -> CacheMechanism | None:
    wanted = config.enable_caching
    if wanted is False or (wanted is None and config.cache is None):
        return None
    if isinstance(config.cache, CacheMechanism):
        return config.cache
    return CacheMechanism(config.cache or CacheConfig())


def _setup(group: Group) -> str:
    """Give eight digits for whom a group asks: whoever changes what a model means changes its answers' keys."""
    deployments = [state.deployment for state in group.states]
    told = sorted(_encoded((one.provider, one.model, one.base_url, one.params)) for one in deployments)
    return blake2b(b"\n".join(told), digest_size=4).hexdigest()


def _fixed(group: Group) -> frozenset[str]:
    fixed: set[Any] = {name for state in group.states for name in state.deployment.params}
    return frozenset(fixed.intersection(USUAL))
