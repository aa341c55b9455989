"""A group: the deployments behind one model name, in tiers by their `order`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Sequence

from gatewright.layers.routing.state import DeploymentState
from gatewright.layers.routing.strategies import Eligible, StrategyName, make_strategy
from gatewright.types.deployment import Deployment

__all__ = ["Group"]


class Group:
    """Chooses among its deployments: the first tier that has one to offer, and within it by the strategy."""

    __slots__ = ("_strategies", "_tier_of", "name", "states")

    def __init__(
        self, name: str, deployments: Sequence[Deployment], strategy: StrategyName, rng: random.Random
    ) -> None:
        self.name = name
        self.states = [DeploymentState(deployment) for deployment in deployments]
        by_order = sorted(self.states, key=lambda state: state.deployment.order)
        tiers = [list(tier) for _, tier in itertools.groupby(by_order, key=lambda state: state.deployment.order)]
        self._strategies = [make_strategy(strategy, tier, rng) for tier in tiers]
        self._tier_of = {state.deployment.id: place for place, tier in enumerate(tiers) for state in tier}

    def pick(self, tried: Collection[str], now: float) -> DeploymentState | None:
        """Give a deployment that was not tried and is not paused; None where there is none left."""
        return self._first(lambda state: state.paused_until <= now and state.deployment.id not in tried)

    def pick_paused(self, tried: Collection[str]) -> DeploymentState | None:
        """Give the untried deployment whose pause ends first."""
        left = [state for state in self.states if state.deployment.id not in tried]
        return min(left, key=lambda state: state.paused_until, default=None)

    def _first(self, eligible: Eligible) -> DeploymentState | None:
        for strategy in self._strategies:
            state = strategy.pick(eligible)
            if state is not None:
                return state
        return None

    def begin(self, state: DeploymentState) -> None:
        """Note that a call is under way at `state`."""
        state.in_flight += 1
        self._strategies[self._tier_of[state.deployment.id]].changed(state)

    def end(self, state: DeploymentState) -> None:
        """Note that it ended."""
        state.in_flight -= 1
        self._strategies[self._tier_of[state.deployment.id]].changed(state)
