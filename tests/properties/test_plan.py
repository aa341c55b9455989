"""What no plan ever does, whatever the groups, the errors, the waits, the budgets and the deadline."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    InvalidProviderResponse,
    NotFound,
    PermissionDenied,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.plan import Fallbacks, Plan, Rules, Step
from gatewright.layers.routing.retries import RetryBudget, RetryConfig
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call
from gatewright.types.deployment import Deployment
from gatewright.types.requests import GenerateRequest

MODELS = ("a", "b", "c", "d")
REQUESTS = (BadRequest, ContentPolicyViolation, ContextWindowExceeded)
NEVER_AGAIN = (AuthenticationFailed, PermissionDenied, NotFound)

MAPS = st.dictionaries(st.sampled_from(MODELS), st.lists(st.sampled_from((*MODELS, "alias")), max_size=3), max_size=4)
FALLBACKS = st.builds(
    Fallbacks,
    by_model=MAPS,
    context_window=MAPS,
    content_policy=MAPS,
    default=st.lists(st.sampled_from(MODELS), max_size=2),
)
CONFIGS = st.builds(
    RetryConfig,
    max_retries=st.integers(0, 4),
    base=st.sampled_from([0.0, 0.5, 2.0]),
    cap=st.sampled_from([0.0, 8.0]),
    max_retry_after=st.sampled_from([0.0, 5.0, 60.0]),
    budget_ratio=st.sampled_from([0.0, 0.2, 1.0]),
    budget_per_second=st.sampled_from([0.0, 1.0]),
    budget_reserve=st.sampled_from([0.0, 1.0, 10.0]),
)
ERRORS = st.one_of(
    st.sampled_from([*REQUESTS, *NEVER_AGAIN, ProviderTimeout, ConnectionFailed, InvalidProviderResponse]).map(
        lambda cls: cls("it failed")
    ),
    st.builds(
        lambda cls, seconds, retryable: cls("later", retry_after=seconds, retryable=retryable),
        st.sampled_from([RateLimited, ProviderUnavailable]),
        st.sampled_from([None, 0.0, 0.25, 3.0, 30.0, 1e9]),
        st.sampled_from([None, None, False]),
    ),
)
TABLES = st.builds(
    lambda sizes, orders, strategy, seed: RoutingTable(
        [
            Deployment(id=f"{model}{n}", group=model, provider="p", model=model, order=orders[n % len(orders)])
            for model, size in zip(MODELS, sizes, strict=True)
            for n in range(size)
        ],
        aliases={"alias": "a"},
        strategy=strategy,
        rng=random.Random(seed),
    ),
    st.tuples(*[st.integers(1, 4)] * len(MODELS)),
    st.lists(st.integers(0, 1), min_size=1, max_size=3),
    st.sampled_from(["weighted-shuffle", "least-busy", "lowest-latency", "lowest-cost"]),
    st.integers(0, 99),
)


class Trial(msgspec.Struct):
    """One call that is followed through its plan: each step, when it was taken, and what became of it."""

    name: str
    steps: list[tuple[Step, float]]
    errors: list[GatewayError]
    outcome: GatewayError | None
    seen_closed: list[tuple[Step, list[str]]]


class World:
    """A table, a clock and one budget for each group, as the router keeps them."""

    def __init__(self, table: RoutingTable, fallbacks: Fallbacks, config: RetryConfig) -> None:
        self.table, self.fallbacks, self.config = table, fallbacks, config
        self.now = 100.0
        self.retried: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.rng = random.Random(1)

    def budget_of(self, group: Group) -> RetryBudget:
        if group.budget is None:
            group.budget = RetryBudget(self.config, self.now)
        return group.budget

    def follow(self, name: str, errors: list[GatewayError | None], deadline: float | None) -> Trial:
        """Follow a plan; `errors` are what the attempts end in, None a reply, and so is the end of the list."""
        rules = Rules(
            find=self.table.find,
            fallbacks=self.fallbacks,
            config=self.config,
            budget_of=self.budget_of,
            rng=self.rng,
        )
        call = Call(
            request=GenerateRequest(model=name, messages=[]),
            id="req_1",
            started_at=self.now,
            deadline=None if deadline is None else self.now + deadline,
        )
        plan = Plan.of(call, rules)
        trial = Trial(name, [], [], None, [])
        self.calls[name] += 1
        try:
            step = plan.start(self.now)
            for error in [*errors, None]:
                self._take(trial, step)
                if error is None:
                    break
                self.now += 0.1
                trial.errors.append(error)
                step = plan.after(error, self.now)
            assert plan.attempts == len(trial.steps)
        except GatewayError as error:
            trial.outcome = error
        return trial

    def _take(self, trial: Trial, step: Step) -> None:
        asked = [taken.state for taken, _ in trial.steps if taken.group is step.group]
        untried = [
            state.deployment.id for state in step.group.states if state not in asked and state.paused_until <= self.now
        ]
        trial.seen_closed.append((step, untried))
        if step.state in asked:
            self.retried[step.group.name] += 1
        elif trial.steps and step.group is not trial.steps[-1][0].group:
            self.calls[step.group.name] += 1
        self.now += step.wait
        trial.steps.append((step, self.now))


ATTEMPTS = st.lists(st.one_of(ERRORS, ERRORS, ERRORS, st.none()), max_size=14)
DEADLINES = st.sampled_from([None, None, 0.05, 1.0, 20.0])


@st.composite
def trials(draw: Any) -> tuple[World, Trial, float | None, float]:
    world = World(draw(TABLES), draw(FALLBACKS), draw(CONFIGS))
    for _ in range(draw(st.integers(0, 2))):  # what was before leaves pauses and spent budgets behind
        world.follow(draw(st.sampled_from(MODELS)), draw(ATTEMPTS), None)
    deadline, began = draw(DEADLINES), world.now
    return world, world.follow(draw(st.sampled_from((*MODELS, "alias"))), draw(ATTEMPTS), deadline), deadline, began


def after_a_pause(error: GatewayError) -> tuple[World, Trial, float | None, float]:
    """A trial at one deployment, which has just answered another call with `error`."""
    table = RoutingTable([Deployment(id="a0", group="a", provider="p", model="a")])
    world = World(table, Fallbacks(), RetryConfig(max_retries=0, max_retry_after=0.0))
    world.follow("a", [error], None)
    return world, world.follow("a", [], None), None, world.now


@given(trials())
def test_a_group_is_asked_no_more_often_than_its_retries_allow(drawn: tuple[World, Trial, Any, Any]):
    world, trial, *_ = drawn
    attempts = Counter(step.group.name for step, _ in trial.steps)
    assert all(count <= 1 + world.config.max_retries for count in attempts.values())


@given(trials())
def test_each_model_is_asked_once(drawn: tuple[World, Trial, Any, Any]):
    _, trial, *_ = drawn
    groups = [step.group.name for step, _ in trial.steps]
    runs = [group for place, group in enumerate(groups) if place == 0 or groups[place - 1] != group]
    assert len(runs) == len(set(runs))


@given(trials())
def test_what_is_wrong_with_the_request_is_not_sent_again(drawn: tuple[World, Trial, Any, Any]):
    """After such an error only a fallback of its own kind is asked."""
    world, trial, *_ = drawn
    for error, (failed, _), (after, _) in zip(trial.errors, trial.steps, trial.steps[1:], strict=False):
        if isinstance(error, REQUESTS):
            assert after.group is not failed.group
            of_its_kind = {
                ContextWindowExceeded: world.fallbacks.context_window,
                ContentPolicyViolation: world.fallbacks.content_policy,
            }.get(type(error), {})
            allowed = {world.table.find(name).name for names in of_its_kind.values() for name in names}
            assert after.group.name in allowed
        elif after.group is not failed.group:
            general = [*world.fallbacks.by_model.values(), world.fallbacks.default]
            own = [*world.fallbacks.context_window.values(), *world.fallbacks.content_policy.values()]
            named = {world.table.find(name).name for names in (*general, *own) for name in names}
            assert after.group.name in named


@given(trials())
def test_without_errors_of_their_kind_their_fallbacks_are_not_asked(drawn: tuple[World, Trial, Any, Any]):
    world, trial, *_ = drawn
    # Without a single step, all being paused, nothing was asked at all.
    if trial.steps and not any(
        isinstance(error, ContextWindowExceeded | ContentPolicyViolation) for error in trial.errors
    ):
        general = [*world.fallbacks.by_model.values(), world.fallbacks.default]
        named = {world.table.find(name).name for names in general for name in names}
        assert {step.group.name for step, _ in trial.steps[1:]} <= named | {trial.steps[0][0].group.name}


@given(trials())
def test_a_refused_key_or_a_used_up_quota_is_not_tried_again(drawn: tuple[World, Trial, Any, Any]):
    _, trial, *_ = drawn
    for place, error in enumerate(trial.errors):
        if not error.retryable:
            refused = trial.steps[place][0].state
            assert all(step.state is not refused for step, _ in trial.steps[place + 1 :])


@given(trials())
def test_what_was_not_tried_is_asked_first_and_at_once(drawn: tuple[World, Trial, Any, Any]):
    _, trial, *_ = drawn
    for step, untried in trial.seen_closed:
        if untried:
            assert step.state.deployment.id in untried
            assert step.wait == 0.0


@given(trials())
def test_no_wait_is_too_long_or_past_the_deadline(drawn: tuple[World, Trial, Any, Any]):
    world, trial, deadline, began = drawn
    for step, asked_at in trial.steps:
        assert 0.0 <= step.wait <= world.config.max_retry_after
        if deadline is not None and step.wait > 0:
            assert asked_at < began + deadline


@given(trials())
def test_nobody_is_asked_before_the_time_that_it_named(drawn: tuple[World, Trial, Any, Any]):
    _, trial, *_ = drawn
    closed_until: dict[str, float] = {}
    for place, (step, asked_at) in enumerate(trial.steps):
        assert asked_at >= closed_until.get(step.state.deployment.id, 0.0) - 1e-9
        error = trial.errors[place] if place < len(trial.errors) else None
        if error is not None and error.retryable and error.retry_after is not None:
            closed_until[step.state.deployment.id] = asked_at + 0.1 + min(error.retry_after, 3600.0)


@given(trials())
def test_the_error_at_the_end_is_the_last_one(drawn: tuple[World, Trial, Any, Any]):
    _, trial, *_ = drawn
    if trial.outcome is not None and trial.errors:
        assert trial.outcome is trial.errors[-1]


@given(trials())
@example(after_a_pause(RateLimited("later", retry_after=3.0)))
@example(after_a_pause(ProviderUnavailable("later", retry_after=3.0)))
def test_where_nobody_can_be_asked_it_says_why_and_until_when(drawn: tuple[World, Trial, Any, Any]):
    """Only where all of them asked for the pause themselves it is a limit that holds the call up."""
    world, trial, *_ = drawn
    if trial.outcome is None or trial.errors:
        return
    assert trial.steps == []
    first = world.table.find(trial.name)
    instead = world.fallbacks.after(trial.outcome, trial.name, first.name)
    paused = [state for group in [first, *map(world.table.find, instead)] for state in group.states]
    assert all(state.paused_until > world.now for state in paused)
    limited = all(state.limited for state in paused)
    assert type(trial.outcome) is (RateLimited if limited else ProviderUnavailable)
    assert trial.outcome.retry_after == min(state.paused_until for state in paused) - world.now


@given(TABLES, CONFIGS, st.lists(st.tuples(st.sampled_from(MODELS), ATTEMPTS, st.floats(0, 5)), max_size=30))
def test_retries_never_exceed_what_calls_and_time_earn(
    table: RoutingTable, config: RetryConfig, calls: list[tuple[str, list[GatewayError | None], float]]
):
    world = World(table, Fallbacks(default=("a", "b")), config)
    began = world.now
    for name, errors, pause in calls:
        world.now += pause
        world.follow(name, errors, None)
    for group, retried in world.retried.items():
        earned = world.calls[group] * config.budget_ratio + (world.now - began) * config.budget_per_second
        assert retried <= config.budget_reserve + earned + 1e-6


@given(TABLES, FALLBACKS, CONFIGS, ERRORS, st.sampled_from(MODELS))
def test_an_endless_outage_ends(
    table: RoutingTable, fallbacks: Fallbacks, config: RetryConfig, error: GatewayError, name: str
):
    world = World(table, fallbacks, config)
    trial = world.follow(name, [error] * 100, None)
    assert trial.outcome is error
    assert len(trial.steps) <= len(MODELS) * (1 + config.max_retries)
