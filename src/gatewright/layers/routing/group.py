"""A group: the deployments behind one model name, in tiers by their `order`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Collection, Sequence

from gatewright.layers.routing.retries import RetryBudget
from gatewright.layers.routing.state import DeploymentGate, DeploymentState
from gatewright.layers.routing.strategies import Eligible, StrategyName, make_strategy
from gatewright.types.deployment import Deployment

__all__ = ["GateOf", "Group"]

GateOf = Callable[[Deployment], DeploymentGate | None]
"""Gives what knows whether a deployment can be asked."""


class Group:
    """Chooses among its deployments: the first tier that has one to offer, and within it by the strategy.

    `budget` is what its retries are paid from; the router gives it one when it is first asked.
    """

    __slots__ = ("_by_load", "_strategies", "_tier_of", "budget", "counts_tokens", "name", "states")

    def __init__(
        self,
        name: str,
        deployments: Sequence[Deployment],
        strategy: StrategyName,
        rng: random.Random,
        gate_of: GateOf | None = None,
    ) -> None:
        self.name = name
        self.budget: RetryBudget | None = None
        self.states = [DeploymentState(deployment) for deployment in deployments]
        if gate_of is not None:
            for state in self.states:
                state.gate = gate_of(state.deployment)
        by_order = sorted(self.states, key=lambda state: state.deployment.order)
        tiers = [list(tier) for _, tier in itertools.groupby(by_order, key=lambda state: state.deployment.order)]
        self._strategies = [make_strategy(strategy, tier, rng) for tier in tiers]
        # The others look at the state when they choose.
        self._by_load = strategy == "least-busy"
        self.counts_tokens = len(deployments) > 1 and any(one.tpm is not None for one in deployments)
        """Whether it depends on a call's tokens which of them have room."""
        self._tier_of = {state.deployment.id: place for place, tier in enumerate(tiers) for state in tier}

    def pick(self, tried: Collection[str], now: float, tokens: float = 1.0) -> DeploymentState | None:
        """Give a deployment that was not tried and may be asked now, one with room if there is any; else None."""
        if len(self.states) == 1:
            state = self.states[0]
            return state if state.free_at(now) <= now and state.deployment.id not in tried else None
        chosen = self._first(lambda state: state.free_at(now) <= now and state.deployment.id not in tried, now)
        if chosen is None or chosen.has_room(now, tokens):
            return chosen
        with_room = self._first(
            lambda state: (
                state.free_at(now) <= now and state.deployment.id not in tried and state.has_room(now, tokens)
            ),
            now,
        )
        return with_room or chosen

    def pick_closed(self, tried: Collection[str], now: float) -> DeploymentState | None:
        """Give the untried deployment that may be asked again first."""
        left = [state for state in self.states if state.deployment.id not in tried]
        return min(left, key=lambda state: state.free_at(now), default=None)

    def _first(self, eligible: Eligible, now: float) -> DeploymentState | None:
        for strategy in self._strategies:
            state = strategy.pick(eligible, now)
            if state is not None:
                return state
        return None

    def begin(self, state: DeploymentState) -> None:
        """Note that a call is under way at `state`."""
        state.in_flight += 1
        if self._by_load:
            self._strategies[self._tier_of[state.deployment.id]].changed(state)

    def end(self, state: DeploymentState) -> None:
        """Note that it ended."""
        state.in_flight -= 1
        if self._by_load:
            self._strategies[self._tier_of[state.deployment.id]].changed(state)
