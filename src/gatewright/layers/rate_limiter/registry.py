"""Every limit by what it applies to; those of idle tenants are forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet

__all__ = ["EVERY", "LimitRegistry", "Name", "Scope", "Standing"]

Scope = Literal["global", "tenant", "model", "tenant_model", "deployment", "key"]
"""What a limit applies to; `tenant_model` is one tenant's use of one model, named by the pair."""

Name = str | tuple[str | None, str | None] | None
"""A tenant, a model, a deployment, a key, or a tenant and a model; None is the nameless tenant."""

EVERY = "*"
"""The name that stands for each one without a configuration of its own: each gets a limit of its own.

In a pair it stands for each tenant, or each model; the more particular configuration holds, and of two pairs the one
that names the model.
"""

SHARED: frozenset[Scope] = frozenset({"global", "model", "deployment"})
# Old entries looked at for every new one: more than one, so that what is idle goes faster than what is new comes.
LOOKED_AT_PER_NEW = 2
MAX_SETS = 4096
MAX_STANDINGS = 1024


class Standing(NamedTuple):
    """What a tenant's calls count for where others wait too; see `RateLimitConfig`."""

    weight: float = 1.0
    priority: int = 0


AS_ANYBODY = Standing()


class _Family:
    """The limits of one scope by name."""

    __slots__ = ("configs", "limits", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope
        self.configs: dict[Name, RateLimitConfig] = {}
        # Ordered, because a plain dict finds its first entry slowly once many before it were removed.
        self.limits: OrderedDict[Name, Limit] = OrderedDict()

    def add(self, name: Name, now: float) -> Limit | None:
        config = self.config_of(name)
        if config is None:
            return None
        self.evict_idle(now, LOOKED_AT_PER_NEW)
        # No name is empty: the nameless tenant's is not that of one called "None".
        limit = Limit(f"{self.scope}:{'' if name is None else name}", config, now, shared=self.scope in SHARED)
        self.limits[name] = limit
        return limit

    def config_of(self, name: Name) -> RateLimitConfig | None:
        """Give the most particular configuration for a name: its own, or that of each one."""
        configs = self.configs
        if not configs:
            return None
        config = configs.get(name)
        if config is None and isinstance(name, tuple):
            tenant, model = name
            for wider in ((EVERY, model), (tenant, EVERY), (EVERY, EVERY)):
                if (config := configs.get(wider)) is not None:
                    break
        return config or configs.get(EVERY)

    def evict_idle(self, now: float, at_most: int) -> int:
        """Look at the oldest entries; what is in use goes to the back of the row."""
        limits = self.limits
        evicted = 0
        for _ in range(min(at_most, len(limits))):
            name, limit = limits.popitem(last=False)
            if limit.is_idle(now):
                evicted += 1
            else:
                limits[name] = limit
        return evicted

    def configure(self, name: Name, config: RateLimitConfig | None, now: float) -> list[Limit]:
        if config is None:
            self.configs.pop(name, None)
        else:
            self.configs[name] = config
        several = name == EVERY or (isinstance(name, tuple) and EVERY in name)
        named = list(self.limits) if several else [name] if name in self.limits else []
        affected = [other for other in named if self.config_of(other) is not self.limits[other].config]
        return [self._apply(other, now) for other in affected]

    def _apply(self, name: Name, now: float) -> Limit:
        limit = self.limits[name]
        config = self.config_of(name)
        if config is None:
            del self.limits[name]
        limit.change(config or RateLimitConfig(), now)
        return limit


class LimitRegistry:
    """Finds the limits that apply to a call, and makes them on first need."""

    __slots__ = ("_families", "_standings", "sets")

    def __init__(self) -> None:
        scopes: tuple[Scope, ...] = ("global", "tenant", "model", "tenant_model", "deployment", "key")
        self._families: dict[Scope, _Family] = {scope: _Family(scope) for scope in scopes}
        self._standings: dict[tuple[str | None, str | None], Standing] = {}
        # What was found for calls like one: by tenant, model and key, and for an attempt by its deployment.
        self.sets: dict[tuple[str | None, str | None, str | None] | str, LimitSet] = {}

    def __len__(self) -> int:
        return sum(len(family.limits) for family in self._families.values())

    def configure(self, scope: Scope, name: Name, config: RateLimitConfig | None, now: float) -> list[Limit]:
        """Set, change or (None) remove a limit; gives those in use that changed, for whoever waits for them.

        `EVERY` as the name configures each that has no configuration of its own.
        """
        self._forget_sets()
        self._standings.clear()
        return self._families[scope].configure(name, config, now)

    def configured(self, scope: Scope) -> list[Name]:
        """Give the names for which a limit is configured."""
        return list(self._families[scope].configs)

    def limit(self, scope: Scope, name: Name, now: float) -> Limit | None:
        """Give one limit, or None where nothing is configured."""
        family = self._families[scope]
        if not family.configs:
            return None
        return family.limits.get(name) or self._add(family, name, now)

    def set_of(self, tenant: str | None, model: str | None, key: str | None, now: float) -> LimitSet:
        """Give all limits that apply to a call, as `limits_of` does, found but once for all calls like it."""
        names = (tenant, model, key)
        found = self.sets.get(names)
        if found is None:
            found = self._remember(names, self.limits_of(now, tenant=tenant, model=model, key=key))
        return found

    def set_of_deployment(self, deployment: str, now: float) -> LimitSet:
        """Give the limit that applies to an attempt, or none, likewise."""
        found = self.sets.get(deployment)
        if found is None:
            limit = self.limit("deployment", deployment, now)
            found = self._remember(deployment, () if limit is None else (limit,))
        return found

    def _remember(self, names: tuple[str | None, str | None, str | None] | str, limits: Iterable[Limit]) -> LimitSet:
        if len(self.sets) >= MAX_SETS:
            self._forget_sets()
        found = self.sets[names] = LimitSet(limits)
        return found

    def _add(self, family: _Family, name: Name, now: float) -> Limit | None:
        """Make a limit; what is forgotten in its favour is not to be found in a set any more."""
        self._forget_sets()
        return family.add(name, now)

    def _forget_sets(self) -> None:
        """Have whoever keeps one ask again."""
        for found in self.sets.values():
            found.is_current = False
        self.sets.clear()

    def limits_of(
        self,
        now: float,
        *,
        tenant: str | None = None,
        model: str | None = None,
        deployment: str | None = None,
        key: str | None = None,
    ) -> tuple[Limit, ...]:
        """Give all limits that apply to a call, the global one first; tenant None is one tenant of its own."""
        found: list[Limit] = []
        for scope, family in self._families.items():
            if not family.configs:
                continue
            name = _name(scope, tenant, model, deployment, key)
            if name is None and scope != "tenant":
                continue
            limit = family.limits.get(name) or self._add(family, name, now)
            if limit is not None:
                found.append(limit)
        return tuple(found)

    def standing(self, tenant: str | None, model: str | None) -> Standing:
        """Give the weight and the priority of a tenant's calls: what is said of it and the model, or of it alone."""
        if not (self._families["tenant"].configs or self._families["tenant_model"].configs):
            return AS_ANYBODY
        found = self._standings.get((tenant, model))
        if found is None:
            if len(self._standings) >= MAX_STANDINGS:
                self._standings.clear()
            found = self._standings[tenant, model] = self._standing(tenant, model)
        return found

    def _standing(self, tenant: str | None, model: str | None) -> Standing:
        both, alone = self._families["tenant_model"], self._families["tenant"]
        configs = [one for one in (both.config_of((tenant, model)), alone.config_of(tenant)) if one is not None]
        return Standing(
            next((one.weight for one in configs if "weight" in one.model_fields_set), 1.0),
            next((one.priority for one in configs if "priority" in one.model_fields_set), 0),
        )

    def in_use(self) -> Iterable[Limit]:
        """Give every limit that is remembered."""
        for family in self._families.values():
            yield from family.limits.values()

    def evict_idle(self, now: float, at_most: int = 1000) -> int:
        """Look at the `at_most` oldest limits of each scope and forget those that are idle; gives how many."""
        evicted = sum(family.evict_idle(now, at_most) for family in self._families.values())
        if evicted:
            self._forget_sets()
        return evicted


def _name(scope: Scope, tenant: str | None, model: str | None, deployment: str | None, key: str | None) -> Name:
    if scope == "tenant":
        return tenant
    if scope == "model":
        return model
    if scope == "tenant_model":
        return (tenant, model)
    if scope == "deployment":
        return deployment
    return key if scope == "key" else ""
