"""From the name that a caller asks for to the group that answers: exact, alias, wildcard, or made on demand."""

from __future__ import annotations

import fnmatch
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gatewright.errors import NotFound
from gatewright.layers.routing.group import GateOf, Group
from gatewright.layers.routing.strategies import StrategyName
from gatewright.types.configuration import nearest
from gatewright.types.deployment import Deployment

__all__ = ["MAX_MADE", "RoutingTable"]

MAX_MADE = 1024
"""How many groups made on demand are kept: callers choose those names, so there must be an end to them."""

OnDemand = Callable[[str], Iterable[Deployment]]
"""Gives the deployments for a name that the model list does not have; none where it cannot be."""


class RoutingTable:
    """All groups by name."""

    def __init__(
        self,
        deployments: Iterable[Deployment],
        *,
        aliases: Mapping[str, str] | None = None,
        strategy: StrategyName = "weighted-shuffle",
        on_demand: OnDemand | None = None,
        rng: random.Random | None = None,
        gate_of: GateOf | None = None,
    ) -> None:
        self._gate_of = gate_of
        self._aliases = dict(aliases or {})
        self._strategy: StrategyName = strategy
        self._on_demand = on_demand
        self._rng = rng or random.Random()
        by_name: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            by_name.setdefault(deployment.group, []).append(deployment)
        self._patterns = {name: made for name, made in by_name.items() if "*" in name}
        self._groups = {name: self._group(name, made) for name, made in by_name.items() if "*" not in name}
        self._made: OrderedDict[str, Group] = OrderedDict()

    def names(self) -> list[str]:
        """Give the names that can be asked for: groups and aliases, wildcards as they stand."""
        return [*self._groups, *self._aliases, *self._patterns]

    def groups(self) -> list[Group]:
        """Give every group there is, those made on demand too."""
        return [*self._groups.values(), *self._made.values()]

    def find(self, name: str) -> Group:
        """Give the group for `name`; `NotFound` names the nearest that there is."""
        group = self._groups.get(name) or self._made.get(name)
        if group is not None:
            return group
        target = self._aliases.get(name)
        if target is not None and target != name:
            return self.find(target)
        return self._make(name)

    def _group(self, name: str, deployments: Sequence[Deployment]) -> Group:
        return Group(name, deployments, self._strategy, self._rng, self._gate_of)

    def _make(self, name: str) -> Group:
        deployments = list(self._by_pattern(name)) or list(self._on_demand(name) if self._on_demand else ())
        if not deployments:
            near = nearest(name, self.names())
            raise NotFound(
                f"there is no model {name!r}" + (f"; did you mean {near!r}?" if near else ""), model=name, param="model"
            )
        group = self._made[name] = self._group(name, deployments)
        if len(self._made) > MAX_MADE:
            self._made.popitem(last=False)
        return group

    def _by_pattern(self, name: str) -> Iterable[Deployment]:
        """Fill the most specific pattern that matches: what its `*` stands for goes into the model's `*`."""
        matching = [pattern for pattern in self._patterns if fnmatch.fnmatchcase(name, pattern)]
        if not matching:
            return
        pattern = max(matching, key=len)
        start, _, end = pattern.partition("*")
        filled = name[len(start) : len(name) - len(end)]
        for deployment in self._patterns[pattern]:
            model = deployment.model.replace("*", filled, 1)
            yield _renamed(deployment, name, model)


def _renamed(deployment: Deployment, name: str, model: str) -> Deployment:
    return msgspec.structs.replace(deployment, id=f"{deployment.id}:{name}", group=name, model=model)
