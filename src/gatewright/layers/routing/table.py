"""From the name that a caller asks for to the group that answers: exact, alias, wildcard, or made on demand."""

from __future__ import annotations

import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gatewright.errors import ConfigurationError, NotFound
from gatewright.layers.routing.group import GateOf, Group
from gatewright.layers.routing.strategies import StrategyName
from gatewright.types.configuration import nearest
from gatewright.types.deployment import Deployment

__all__ = ["MAX_MADE", "RoutingTable"]

MAX_MADE = 1024
"""How many groups made on demand are kept: callers choose those names, so there must be an end to them."""
MAX_MADE_IN_USE = 16 * MAX_MADE
"""How many are, where those not asked for the longest are still in use, or their limits used up."""
LOOKED_AT = 8

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
        on_dropped: Callable[[str], object] | None = None,
        in_use: Callable[[str], bool] | None = None,
    ) -> None:
        self._in_use = in_use
        self._gate_of = gate_of
        self._on_dropped = on_dropped
        self._aliases = dict(aliases or {})
        self._strategy: StrategyName = strategy
        self._on_demand = on_demand
        self._rng = rng or random.Random()
        by_name: dict[str, list[Deployment]] = {}
        ids: set[str] = set()
        for deployment in deployments:
            if deployment.id in ids:
                raise ConfigurationError(f"model_info.id: two deployments have the id {deployment.id!r}")
            ids.add(deployment.id)
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
        group = self._groups.get(name)
        if group is not None:
            return group
        name = self._target(name)
        return self._groups.get(name) or self._already_made(name) or self._make(name)

    def _target(self, name: str) -> str:
        """Follow aliases to the name that is none; in a circle it is the last that has not been."""
        seen = {name}
        while (target := self._aliases.get(name)) is not None and target not in seen and name not in self._groups:
            seen.add(target)
            name = target
        return name

    def _already_made(self, name: str) -> Group | None:
        group = self._made.get(name)
        if group is not None:
            self._made.move_to_end(name)
        return group

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
            self._make_room()
        return group

    def _make_room(self) -> None:
        """Let go of the group that was not asked for the longest, of a few that are not in use."""
        oldest = list(itertools.islice(self._made, LOOKED_AT))
        name = next((one for one in oldest if not self._is_in_use(self._made[one])), None)
        if name is None and len(self._made) > MAX_MADE_IN_USE:
            name = oldest[0]
        if name is not None:
            self._drop(self._made.pop(name))
        else:
            for one in oldest:
                self._made.move_to_end(one)  # others are looked at the next time

    def _is_in_use(self, group: Group) -> bool:
        in_use = self._in_use
        return any(state.in_flight or (in_use is not None and in_use(state.deployment.id)) for state in group.states)

    def _drop(self, group: Group) -> None:
        """Have what was made for the deployments of `group` let go of; it was not asked for the longest."""
        if self._on_dropped is not None:
            for state in group.states:
                self._on_dropped(state.deployment.id)

    def _by_pattern(self, name: str) -> Iterable[Deployment]:
        """Fill the most specific pattern that matches: what its `*` stands for goes into the model's `*`."""
        for pattern in sorted(self._patterns, key=_literal, reverse=True):
            filled = _matched(pattern, name)
            if filled is not None:
                return [_renamed(one, name, _filled(one.model, filled)) for one in self._patterns[pattern]]
        return ()


def _literal(pattern: str) -> int:
    return len(pattern) - pattern.count("*")


def _matched(pattern: str, name: str) -> list[str] | None:
    """Give what each `*` of `pattern` stands for in `name`, each as short as can be; None where it does not match."""
    start, *between, end = pattern.split("*")
    if len(name) < len(start) + len(end) or not (name.startswith(start) and name.endswith(end)):
        return None
    filled: list[str] = []
    at, last = len(start), len(name) - len(end)
    for part in between:
        found = name.find(part, at, last)
        if found < 0:
            return None
        filled.append(name[at:found])
        at = found + len(part)
    return [*filled, name[at:last]]


def _filled(model: str, parts: Sequence[str]) -> str:
    first, *rest = model.split("*")
    missing = [""] * max(0, len(rest) - len(parts))
    return first + "".join(part + after for part, after in zip([*parts, *missing], rest, strict=False))


def _renamed(deployment: Deployment, name: str, model: str) -> Deployment:
    return msgspec.structs.replace(deployment, id=f"{deployment.id}:{name}", group=name, model=model)
