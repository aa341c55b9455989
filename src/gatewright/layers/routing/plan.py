"""The plan of one call: which deployment is asked next, after which wait, and when to give up. Pure: it never waits."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gatewright.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    NotFound,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.retries import RetryBudget, RetryConfig, backoff
from gatewright.layers.routing.state import DeploymentState
from gatewright.pipeline.call import Call
from gatewright.pipeline.room import NO_LIMITS, soonest
from gatewright.types.limits import LONGEST_PAUSE

__all__ = ["Fallbacks", "Plan", "Rules", "Step"]

# Wrong at this deployment, perhaps right at the next, even where asking the same one again is of no use: a key that
# is not accepted, a quota that is used up, a certificate that is not trusted.
_ELSEWHERE = (AuthenticationFailed, PermissionDenied, NotFound, RateLimited, ConnectionFailed)


def _goes_elsewhere(error: GatewayError) -> bool:
    return error.retryable or isinstance(error, _ELSEWHERE)


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Which models are asked instead, by the model that failed; `default` where it has none of its own."""

    by_model: Mapping[str, Sequence[str]] = {}
    context_window: Mapping[str, Sequence[str]] = {}
    content_policy: Mapping[str, Sequence[str]] = {}
    default: Sequence[str] = ()

    def after(self, error: GatewayError, *names: str) -> Sequence[str]:
        """Give the models to ask instead after `error`, by the first of the failed model's `names` that has any."""
        if isinstance(error, ContextWindowExceeded):
            return _first_of(self.context_window, names, ())
        if isinstance(error, ContentPolicyViolation):
            return _first_of(self.content_policy, names, ())
        if _goes_elsewhere(error):
            return _first_of(self.by_model, names, self.default)
        return ()


def _first_of(models: Mapping[str, Sequence[str]], names: Sequence[str], default: Sequence[str]) -> Sequence[str]:
    return next((models[name] for name in names if name in models), default)


class Step(msgspec.Struct, frozen=True):
    """The next attempt: at `state` of `group`, after `wait` seconds."""

    group: Group
    state: DeploymentState
    wait: float = 0.0


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What all plans of one router go by: where groups are found, what is asked instead, and how often again."""

    find: Callable[[str], Group]
    fallbacks: Fallbacks
    config: RetryConfig
    budget_of: Callable[[Group], RetryBudget]
    rng: random.Random
    tokens_of: Callable[[Call], float] = NO_LIMITS.tokens_of
    """Gives the tokens for which a call needs room."""


class Plan(msgspec.Struct):
    """Made for each call; `start` gives the first step, `after(error)` the next, or raises what the caller gets."""

    _rules: Rules
    _call: Call
    _name: str
    _group: Group
    _retries: int
    attempts: int = 0
    current: DeploymentState | None = None
    """The deployment that is asked, or was asked last."""
    _left: tuple[Group, ...] = ()  # the groups that were gone through before this one
    _queue: list[str] = []
    # Per deployment: when it may be asked again; None is never.
    _failed_at: dict[str, float | None] = {}
    _tries: int = 0
    _waiting_since: float | None = None
    _refused: tuple[GatewayError, ...] = ()  # by limits of ours

    @staticmethod
    def of(call: Call, rules: Rules) -> Plan:
        """Make the plan of a call, with retries of its own or as many as the rules have."""
        name, retries = call.request.model, call.options.max_retries
        return Plan(rules, call, name, rules.find(name), rules.config.max_retries if retries is None else retries)

    def start(self, now: float) -> Step:
        """Give the first step; `ProviderUnavailable` where the group has no deployment to offer in time."""
        group = self._group
        (group.budget or self._rules.budget_of(group)).earn()
        state = group.pick((), now, self._tokens) if group.counts_tokens else group.pick((), now)
        if state is None:
            return self.after(_all_closed((group,), now), now)
        # `_step`, written out: every call takes this one.
        self._tries = self.attempts = 1
        self.current = state
        return Step(group, state)

    def after(self, error: GatewayError, now: float) -> Step:
        """Give the step after the last one ended in `error`; raises `error` where none is left."""
        if self.current is not None:
            self._note(self.current, error, now)
        if _goes_elsewhere(error) and self._tries <= self._retries:
            step = self._fresh(now) or self._again(now)
            if step is not None:
                return step
        return self._fall_back(error, now)

    def _note(self, failed: DeploymentState, error: GatewayError, now: float) -> None:
        """Remember when `failed` may be asked again; what its provider said of that holds for all calls."""
        if not error.asked:
            self.attempts -= 1
            if failed.is_closed(now):
                # Its gate closed, or let another call through, while this one waited: that was no try.
                self._tries -= 1
                return
            if isinstance(error, RateLimited):
                self._refused = (*self._refused, error)
        if error.retry_after is not None and error.retryable and error.asked:
            seconds = min(error.retry_after, max(LONGEST_PAUSE, self._rules.config.max_retry_after))
            failed.pause(now + seconds, limited=isinstance(error, RateLimited))
        if not (error.retryable and error.asked):
            # Nothing to wait for; or its own limit was waited for already, as long as that is allowed.
            self._failed_at[failed.deployment.id] = None
            return
        wait = backoff(self._tries - 1, self._rules.config, self._rules.rng)
        self._failed_at[failed.deployment.id] = max(now + wait, failed.free_at(now))

    def _fresh(self, now: float) -> Step | None:
        """Ask a deployment that this call has not asked, at once."""
        state = self._group.pick(self._failed_at, now, self._tokens)
        return self._step(state, 0.0) if state is not None else None

    def _again(self, now: float) -> Step | None:
        """Ask the one that is ready first: a failed one again, out of the budget, or a paused one when it is due.

        One whose gate is closed is not waited for yet: there may be a fallback that can be asked at once.
        """
        shut = {state.deployment.id for state in self._group.states if state.is_closed(now)}
        ready = [
            (max(at, state.free_at(now)), state)
            for state in self._group.states
            if (at := self._failed_at.get(state.deployment.id)) is not None and state.deployment.id not in shut
        ]
        closed = self._group.pick_closed(shut | self._failed_at.keys(), now)
        opens_at = math.inf if closed is None else closed.free_at(now)
        step = None
        if ready:
            ready_at, state = min(ready, key=operator.itemgetter(0))
            if ready_at <= opens_at:
                step = self._waiting(state, ready_at - now, now, spend=True)
        if step is None and closed is not None:
            step = self._waiting(closed, opens_at - now, now)
        return step

    def _waiting(self, state: DeploymentState, wait: float, now: float, *, spend: bool = False) -> Step | None:
        """Ask `state` after `wait` seconds, if that is neither too long nor past the deadline nor over the budget."""
        wait, deadline = max(0.0, wait), self._call.deadline
        if wait > self._rules.config.max_retry_after or (deadline is not None and now + wait >= deadline):
            return None
        return None if spend and not self._rules.budget_of(self._group).spend(now) else self._step(state, wait)

    def _step(self, state: DeploymentState, wait: float) -> Step:
        self._tries += 1
        self.attempts += 1
        self.current = state
        return Step(self._group, state, wait)

    def _fall_back(self, error: GatewayError, now: float) -> Step:
        """Go to the next model that is to be asked instead; each is asked once.

        An error of the request itself goes only where it has fallbacks of its own.
        """
        if not _goes_elsewhere(error):
            if self._call.options.joined:
                raise error  # only the one whose fault it is falls back
            self._queue.clear()
        self._queue[:0] = self._rules.fallbacks.after(error, self._name, self._group.name)
        while self._queue:
            name = self._queue.pop(0)
            group = self._rules.find(name)
            if group in self._seen:
                continue
            self._left = self._seen
            self._name = name
            self._group = group
            self.current = None
            self._tries = 0
            self._rules.budget_of(group).earn()
            step = self._fresh(now) or self._again(now)
            if step is not None:
                return step
        step = self._once_open(now) if _goes_elsewhere(error) and self._tries <= self._retries else None
        if step is not None:
            return step
        if error.asked or not isinstance(error, ProviderUnavailable | RateLimited):
            raise error
        # Nobody was asked in the end: what is told is when the first of all of them may be.
        refusals = list(self._refused)
        if any(state.free_at(now) > now for group in self._seen for state in group.states):
            refusals.append(_all_closed(self._seen, now))
        raise soonest(refusals or (error,))

    @property
    def _tokens(self) -> float:
        """The tokens for which the call needs room."""
        return self._rules.tokens_of(self._call) if self._group.counts_tokens else 1.0

    def rivals(self, now: float) -> list[DeploymentState]:
        """Give the deployments of which the first that has room is to be asked: this step's, and what else may be."""
        current, failed_at = self.current, self._failed_at
        return [
            state
            for state in self._group.states
            if state is current or (state.free_at(now) <= now and state.deployment.id not in failed_at)
        ]

    def may_join(self, state: DeploymentState, now: float) -> bool:
        """Say whether a call that waits for room may be sent to this one too, once more out of the budget."""
        at = self._failed_at.get(state.deployment.id, -math.inf)
        if at is None or at > now or state.free_at(now) > now:
            return False
        return at == -math.inf or self._rules.budget_of(self._group).spend(now)

    def again_at(self) -> list[tuple[float, DeploymentState]]:
        """Give the deployments that failed and may be asked again, and when."""
        return [
            (at, state) for state in self._group.states if (at := self._failed_at.get(state.deployment.id)) is not None
        ]

    def with_room(self, state: DeploymentState) -> Step:
        """Give the step under way anew, at the deployment that has room for it."""
        self.current = state
        return Step(self._group, state)

    def without_room(self, rivals: Sequence[DeploymentState], now: float) -> None:
        """Hear that none of them had room for as long as a call waits for it; which has closed may be asked again."""
        for state in rivals:
            if not state.is_closed(now):
                self._failed_at[state.deployment.id] = None

    @property
    def _seen(self) -> tuple[Group, ...]:
        """All groups that were gone through, this one too."""
        return (*self._left, self._group)

    def _once_open(self, now: float) -> Step | None:
        """Wait for the first gate to open, of all groups that were gone through; in all no longer than for a pause."""
        closed = [
            (state.free_at(now), group, state)
            for group in self._seen
            for state in group.states
            if state.is_closed(now) and self._failed_at.get(state.deployment.id, now) is not None
        ]
        if not closed:
            return None
        opens_at, group, state = min(closed, key=operator.itemgetter(0))
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if opens_at - self._waiting_since > self._rules.config.max_retry_after:
            return None
        self._name, self._group = group.name, group
        return self._waiting(state, opens_at - now, now)


def _all_closed(groups: Sequence[Group], now: float) -> GatewayError:
    shut = [state for group in groups for state in group.states if state.free_at(now) > now]
    wait = min((state.free_at(now) for state in shut), default=now) - now
    known = wait != math.inf
    names = ", ".join(group.name for group in groups)
    limited = all(state.limited and not state.is_closed(now) for state in shut)
    error = (RateLimited if limited else ProviderUnavailable)(
        f"no deployment of {names} can be asked" + (f" for the next {wait:.1f} s" if known else " at present"),
        model=groups[0].name,
        retry_after=max(0.0, wait) if known else None,
    )
    error.asked = False
    return error
