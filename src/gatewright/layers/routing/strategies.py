"""How one of several deployments is chosen; each choice costs the same among three and among a thousand."""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

from gatewright.layers.routing.state import DeploymentState

__all__ = ["Eligible", "Strategy", "StrategyName", "make_strategy"]

StrategyName = Literal["weighted-shuffle", "least-busy", "lowest-latency", "lowest-cost"]
Eligible = Callable[[DeploymentState], bool]

# Draws before a scan: with half of the deployments out, 8 draws miss once in 256 times.
DRAWS = 8


class Strategy(Protocol):
    """Chooses among the deployments that it was made for."""

    def pick(self, eligible: Eligible, now: float) -> DeploymentState | None:
        """Give an eligible deployment; None where there is none."""
        ...

    def changed(self, state: DeploymentState) -> None:
        """Hear that a deployment became busier or less busy."""
        ...


class _Strategy:
    def __init__(self, states: Sequence[DeploymentState], rng: random.Random) -> None:
        self._states = states
        self._rng = rng

    def changed(self, state: DeploymentState) -> None:
        """Most strategies look at the state when they choose."""


class WeightedShuffle(_Strategy):
    """By weight, at random; a weight is `weight`, or where none is given the deployment's `rpm` or `tpm`."""

    def __init__(self, states: Sequence[DeploymentState], rng: random.Random) -> None:
        super().__init__(states, rng)
        self._weights = _weights(states)
        self._ends = list(itertools.accumulate(self._weights))

    def pick(self, eligible: Eligible, now: float) -> DeploymentState | None:
        """Draw by weight; where most are out, draw among the rest."""
        if len(self._states) == 1:
            return self._states[0] if eligible(self._states[0]) else None
        total = self._ends[-1]
        if total > 0:
            for _ in range(DRAWS):
                state = self._states[bisect.bisect_right(self._ends, self._rng.random() * total)]
                if eligible(state):
                    return state
        left = [(state, weight) for state, weight in zip(self._states, self._weights, strict=True) if eligible(state)]
        if not left:
            return None
        weights = [weight for _, weight in left]
        return self._rng.choices([state for state, _ in left], weights if sum(weights) > 0 else None)[0]


class LeastBusy(_Strategy):
    """The one with the fewest calls under way, of equals the one that has been left alone longest.

    A heap with an entry for every change, of which each deployment's last one holds: the others are dropped when
    they come up. An entry is the number of calls, when that changed (at first a random order), and the place.
    """

    def __init__(self, states: Sequence[DeploymentState], rng: random.Random) -> None:
        super().__init__(states, rng)
        self._places = {state: place for place, state in enumerate(states)}
        self._changes = itertools.count(1)
        self._last: list[tuple[int, float, int]] = [(one.in_flight, rng.random(), n) for n, one in enumerate(states)]
        self._heap: list[tuple[int, float, int]] = []
        self._rebuild()

    def changed(self, state: DeploymentState) -> None:
        """Enter its new number of calls."""
        place = self._places[state]
        entry = self._last[place] = (state.in_flight, next(self._changes), place)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 4 * len(self._states) + 64:
            self._rebuild()

    def pick(self, eligible: Eligible, now: float) -> DeploymentState | None:
        """Give the eligible one with the fewest calls."""
        passed: list[tuple[int, float, int]] = []
        found: DeploymentState | None = None
        while self._heap:
            entry = self._heap[0]
            state = self._states[entry[2]]
            if entry is not self._last[entry[2]]:
                heapq.heappop(self._heap)
            elif eligible(state):
                found = state
                break
            else:
                passed.append(heapq.heappop(self._heap))
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def _rebuild(self) -> None:
        self._heap = list(self._last)
        heapq.heapify(self._heap)


class LowestLatency(_Strategy):
    """The better of two drawn at random, by peak EWMA latency times calls under way (power of two choices)."""

    def pick(self, eligible: Eligible, now: float) -> DeploymentState | None:
        """Draw two and give the one with the shorter expected wait."""
        first = self._draw(eligible, ())
        if first is None or len(self._states) == 1:
            return first
        second = self._draw(eligible, (first,))
        return first if second is None or first.load(now) <= second.load(now) else second

    def _draw(self, eligible: Eligible, other_than: Collection[DeploymentState]) -> DeploymentState | None:
        for _ in range(DRAWS):
            state = self._states[int(self._rng.random() * len(self._states))]
            if state not in other_than and eligible(state):
                return state
        left = [state for state in self._states if state not in other_than and eligible(state)]
        return self._rng.choice(left) if left else None


class LowestCost(_Strategy):
    """The cheapest by its price for input and output; equals at random, an unknown price last."""

    def __init__(self, states: Sequence[DeploymentState], rng: random.Random) -> None:
        by_price = sorted(states, key=_price)
        super().__init__(by_price, rng)
        self._classes = [WeightedShuffle(list(same), rng) for _, same in itertools.groupby(by_price, key=_price)]

    def pick(self, eligible: Eligible, now: float) -> DeploymentState | None:
        """Give an eligible one of the lowest price."""
        return next((state for same in self._classes if (state := same.pick(eligible, now)) is not None), None)


def _weights(states: Sequence[DeploymentState]) -> list[float]:
    """Give each its weight; if nobody set one, the rpm, else the tpm, where all deployments have it."""
    deployments = [state.deployment for state in states]
    if all(one.weight == 1.0 for one in deployments):
        for limit in ("rpm", "tpm"):
            limits: list[float | None] = [getattr(one, limit) for one in deployments]
            if all(limits):
                return [float(one or 0) for one in limits]
    return [one.weight for one in deployments]


def _price(state: DeploymentState) -> float:
    price = state.deployment.price
    return float("inf") if price is None else price.input_cost_per_token + price.output_cost_per_token


_STRATEGIES: dict[str, type[WeightedShuffle | LeastBusy | LowestLatency | LowestCost]] = {
    "weighted-shuffle": WeightedShuffle,
    "least-busy": LeastBusy,
    "lowest-latency": LowestLatency,
    "lowest-cost": LowestCost,
}


def make_strategy(name: StrategyName, states: Sequence[DeploymentState], rng: random.Random) -> Strategy:
    """Make the strategy `name` for these deployments."""
    return _STRATEGIES[name](states, rng)
