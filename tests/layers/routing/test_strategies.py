"""Each strategy chooses as its name says, and costs the same among a thousand."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.layers.routing.group import Group
from gatewright.layers.routing.state import DeploymentState
from gatewright.layers.routing.strategies import LeastBusy, LowestLatency, StrategyName, make_strategy
from gatewright.types.deployment import Deployment
from gatewright.types.usage import Price

NAMES: tuple[StrategyName, ...] = ("weighted-shuffle", "least-busy", "lowest-latency", "lowest-cost")
NOW = 50.0


def states(count: int, **fields: list[Any]) -> list[DeploymentState]:
    return [
        DeploymentState(
            Deployment(
                id=str(place),
                group="g",
                provider="p",
                model="m",
                **{name: values[place] for name, values in fields.items()},
            )
        )
        for place in range(count)
    ]


def anyone(state: DeploymentState) -> bool:
    return True


def picks(strategy: Any, times: int) -> Counter[str]:
    return Counter(strategy.pick(anyone, NOW).deployment.id for _ in range(times))


def test_the_weighted_shuffle_follows_the_weights():
    found = picks(make_strategy("weighted-shuffle", states(3, weight=[1.0, 2.0, 7.0]), random.Random(1)), 10_000)
    # Four standard deviations of a binomial share.
    for place, share in (("0", 0.1), ("1", 0.2), ("2", 0.7)):
        assert abs(found[place] / 10_000 - share) < 4 * (share * (1 - share) / 10_000) ** 0.5


@pytest.mark.parametrize("limit", ["rpm", "tpm"])
def test_without_weights_the_limits_are_the_weights(limit: str):
    found = picks(make_strategy("weighted-shuffle", states(2, **{limit: [100, 900]}), random.Random(1)), 5_000)
    assert 0.87 < found["1"] / 5_000 < 0.93


def test_a_weight_of_zero_is_asked_only_when_no_other_can_be():
    strategy = make_strategy("weighted-shuffle", states(2, weight=[0.0, 1.0]), random.Random(1))
    assert picks(strategy, 500) == {"1": 500}
    left = strategy.pick(lambda state: state.deployment.id == "0", NOW)
    assert left is not None
    assert left.deployment.id == "0"


def test_nothing_but_zero_weights_are_equals():
    found = picks(make_strategy("weighted-shuffle", states(2, weight=[0.0, 0.0]), random.Random(1)), 1_000)
    assert 400 < found["0"] < 600


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_whoever_is_eligible_is_found_and_nobody_else(name: StrategyName, data: st.DataObject):
    of = states(data.draw(st.integers(1, 12)))
    strategy = make_strategy(name, of, random.Random(1))
    eligible = {state for state in of if data.draw(st.booleans())}
    found = strategy.pick(lambda state: state in eligible, NOW)
    assert found in eligible if eligible else found is None


@given(st.integers(1, 8), st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=200), st.integers(0, 9))
def test_the_least_busy_is_the_least_busy_and_its_heap_is_bounded(
    count: int, changes: list[tuple[bool, int]], seed: int
):
    of = states(count)
    strategy = LeastBusy(of, random.Random(seed))
    for begins, number in changes:
        state = of[number % count]
        if not begins and state.in_flight == 0:
            continue
        state.in_flight += 1 if begins else -1
        strategy.changed(state)
        found = strategy.pick(anyone, NOW)
        assert found is not None
        assert found.in_flight == min(one.in_flight for one in of)
        assert len(strategy._heap) <= 4 * count + 64  # pyright: ignore[reportPrivateUsage]


def test_idle_deployments_take_turns_under_one_call_at_a_time():
    group = Group("g", [state.deployment for state in states(4)], "least-busy", random.Random(1))
    found: Counter[str] = Counter()
    for _ in range(400):
        state = group.pick((), NOW)
        assert state is not None
        group.begin(state)
        group.end(state)
        found[state.deployment.id] += 1
    assert min(found.values()) > 50


def test_the_faster_of_two_is_preferred():
    of = states(3)
    for state, seconds in zip(of, (0.1, 1.0, 10.0), strict=True):
        state.observe(seconds, NOW)
    found = picks(LowestLatency(of, random.Random(1)), 3_000)
    # Two of three are drawn: the fastest is among them two times of three, the slowest never wins.
    assert abs(found["0"] / 3_000 - 2 / 3) < 0.05
    assert found["2"] == 0


def test_calls_under_way_count_as_waiting():
    fast, slow = states(2)
    fast.observe(0.5, NOW)
    slow.observe(1.0, NOW)
    fast.in_flight = 3
    assert picks(LowestLatency([fast, slow], random.Random(1)), 20) == {"1": 20}


def test_a_slow_answer_is_forgotten_though_nobody_asks_again():
    """Else a deployment that was slow once would never be asked again where another is always faster."""
    once_slow, steady = states(2)
    once_slow.observe(60.0, NOW)
    strategy = LowestLatency([once_slow, steady], random.Random(1))
    later = NOW
    for _ in range(12):
        later += 10.0
        steady.observe(1.0, later)
        chosen = strategy.pick(anyone, later)
    assert chosen is once_slow


def test_one_call_finds_out_about_an_unmeasured_deployment():
    """A new deployment that never answers must not draw every call to itself."""
    known, new = states(2)
    known.observe(1.0, NOW)
    strategy = LowestLatency([known, new], random.Random(1))
    assert strategy.pick(anyone, NOW) is new
    new.in_flight += 1
    assert all(strategy.pick(anyone, NOW) is known for _ in range(20))


def test_a_deployment_that_fails_at_once_is_not_taken_for_a_fast_one():
    works, broken = states(2)
    works.observe(1.0, NOW)
    broken.failed(0.001, NOW)
    assert LowestLatency([works, broken], random.Random(1)).pick(anyone, NOW) is works


def test_the_cheapest_is_asked_and_an_unknown_price_last():
    prices = [
        Price(input_cost_per_token=2e-6),
        None,
        Price(input_cost_per_token=1e-6),
        Price(output_cost_per_token=1e-6),
    ]
    of = states(4, price=prices)
    strategy = make_strategy("lowest-cost", of, random.Random(1))
    found = picks(strategy, 400)
    assert set(found) == {"2", "3"}
    assert min(found.values()) > 120
    left = strategy.pick(lambda state: state.deployment.id == "1", NOW)
    assert left is of[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_choice_among_a_thousand_looks_at_a_few(name: StrategyName):
    strategy = make_strategy(name, states(1_000), random.Random(1))
    looked = 0

    def eligible(state: DeploymentState) -> bool:
        nonlocal looked
        looked += 1
        return int(state.deployment.id) % 10 != 0  # one in ten is out

    for _ in range(100):
        state = strategy.pick(eligible, NOW)
        assert state is not None
        state.in_flight += 1
        strategy.changed(state)
    # Draws rarely miss; on the heap of the least busy those that are out stay idle, and so on top.
    assert looked < 100 * (101 if name == "least-busy" else 3)


@pytest.mark.parametrize("name", NAMES)
def test_where_all_can_be_asked_a_thousand_cost_no_more_looks_than_three(name: StrategyName):
    def looks(count: int) -> int:
        group = Group("g", [state.deployment for state in states(count)], name, random.Random(1))
        seen = 0

        class Tried:
            def __contains__(self, _: object) -> bool:
                nonlocal seen
                seen += 1
                return False

        for _ in range(50):
            state = group.pick(Tried(), NOW)  # type: ignore[arg-type]
            assert state is not None
            group.begin(state)
        return seen

    assert looks(1_000) <= looks(3) * 1.1 + 5


def test_a_later_tier_is_asked_only_when_the_first_has_none():
    of = states(4, order=[0, 0, 1, 2])
    group = Group("g", [state.deployment for state in of], "weighted-shuffle", random.Random(1))
    found = Counter(state.deployment.id for _ in range(100) if (state := group.pick((), NOW)))
    assert set(found) == {"0", "1"}
    assert group.pick({"0", "1"}, NOW) is group.states[2]
    for state in group.states[:3]:
        state.pause(NOW + 1)
    last = group.pick((), NOW)
    assert last is group.states[3]
    assert group.pick({"3"}, NOW) is None
    assert group.pick_closed({"3"}, NOW) in group.states[:3]
