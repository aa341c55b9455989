"""The plan of one call: which deployment is asked next, after which wait, and when to give up. Pure: it never waits."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gatewright.errors import (
    AuthenticationFailed,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    NotFound,
    PermissionDenied,
    ProviderUnavailable,
)
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.retries import RetryBudget, RetryConfig, backoff
from gatewright.layers.routing.state import DeploymentState

__all__ = ["Fallbacks", "Plan", "Step"]

# Wrong at this deployment, perhaps right at the next; never asked again at the same one.
_ELSEWHERE = (AuthenticationFailed, PermissionDenied, NotFound)


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Which models are asked instead, by the model that failed; `default` where it has none of its own."""

    by_model: Mapping[str, Sequence[str]] = {}
    context_window: Mapping[str, Sequence[str]] = {}
    content_policy: Mapping[str, Sequence[str]] = {}
    default: Sequence[str] = ()

    def after(self, model: str, error: GatewayError) -> Sequence[str]:
        """Give the models to ask instead of `model` after `error`."""
        if isinstance(error, ContextWindowExceeded):
            return self.context_window.get(model, ())
        if isinstance(error, ContentPolicyViolation):
            return self.content_policy.get(model, ())
        if error.retryable or error.status in (401, 403, 404, 429):
            return self.by_model.get(model, self.default)
        return ()


class Step(msgspec.Struct, frozen=True):
    """The next attempt: at `state` of `group`, after `wait` seconds."""

    group: Group
    state: DeploymentState
    wait: float = 0.0


class Plan:
    """Made for each call; `start` gives the first step, `after(error)` the next, or raises what the caller gets."""

    __slots__ = (
        "_budget",
        "_config",
        "_current",
        "_deadline",
        "_failed_at",
        "_fallbacks",
        "_find",
        "_group",
        "_queue",
        "_retries",
        "_rng",
        "_seen",
        "_tries",
        "attempts",
    )

    def __init__(
        self,
        group: Group,
        *,
        find: Callable[[str], Group],
        fallbacks: Fallbacks,
        config: RetryConfig,
        budget: RetryBudget,
        rng: random.Random,
        deadline: float | None = None,
        retries: int | None = None,
    ) -> None:
        self._group = group
        self._find = find
        self._fallbacks = fallbacks
        self._config = config
        self._budget = budget
        self._rng = rng
        self._deadline = deadline
        self._retries = config.max_retries if retries is None else retries
        self._seen = {group.name}
        self._queue: list[str] = []
        # Per deployment of the group in hand: when it may be asked again; None is never.
        self._failed_at: dict[str, float | None] = {}
        self._tries = 0
        self._current: DeploymentState | None = None
        self.attempts = 0

    def start(self, now: float) -> Step:
        """Give the first step; `ProviderUnavailable` where the group has no deployment to offer in time."""
        step = self._fresh(now)
        if step is None:
            step = self.after(_all_closed(self._group, now), now)
        return step

    def after(self, error: GatewayError, now: float) -> Step:
        """Give the step after the last one ended in `error`; raises `error` where none is left."""
        if self._current is not None:
            self._note(self._current, error, now)
        if (error.retryable or isinstance(error, _ELSEWHERE)) and self._tries <= self._retries:
            step = self._fresh(now) or self._again(now)
            if step is not None:
                return step
        return self._fall_back(error, now)

    def _note(self, failed: DeploymentState, error: GatewayError, now: float) -> None:
        """Remember when `failed` may be asked again; what its provider said of that holds for all calls."""
        if error.retry_after is not None and error.retryable:
            failed.pause(now + error.retry_after)
        wait = backoff(self._tries - 1, self._config, self._rng)
        self._failed_at[failed.deployment.id] = max(now + wait, failed.free_at(now)) if error.retryable else None

    def _fresh(self, now: float) -> Step | None:
        """Ask a deployment that this call has not asked, at once."""
        state = self._group.pick(self._failed_at, now)
        return self._step(state, 0.0) if state is not None else None

    def _again(self, now: float) -> Step | None:
        """Ask the one that is ready first: a failed one again, out of the budget, or a paused one when it is due."""
        ready = {id_: at for id_, at in self._failed_at.items() if at is not None}
        closed = self._group.pick_closed(self._failed_at, now)
        states = [state for state in self._group.states if state.deployment.id in ready] if ready else []
        state = min(states, key=lambda one: ready[one.deployment.id] or 0.0, default=None)
        if closed is not None and (state is None or closed.free_at(now) < (ready[state.deployment.id] or 0.0)):
            return self._waiting(closed, closed.free_at(now) - now, now)
        if state is None:
            return None
        return self._waiting(state, (ready[state.deployment.id] or now) - now, now, spend=True)

    def _waiting(self, state: DeploymentState, wait: float, now: float, *, spend: bool = False) -> Step | None:
        """Ask `state` after `wait` seconds, if that is neither too long nor past the deadline nor over the budget."""
        wait = max(0.0, wait)
        if wait > self._config.max_retry_after or (self._deadline is not None and now + wait >= self._deadline):
            return None
        return None if spend and not self._budget.spend(now) else self._step(state, wait)

    def _step(self, state: DeploymentState, wait: float) -> Step:
        self._tries += 1
        self.attempts += 1
        self._current = state
        return Step(self._group, state, wait)

    def _fall_back(self, error: GatewayError, now: float) -> Step:
        """Go to the next model that is to be asked instead; each is asked once."""
        self._queue = [*self._fallbacks.after(self._group.name, error), *self._queue]
        while self._queue:
            name = self._queue.pop(0)
            if name in self._seen:
                continue
            self._seen.add(name)
            self._group = self._find(name)
            self._failed_at = {}
            self._tries = 0
            step = self._fresh(now) or self._again(now)
            if step is not None:
                return step
        raise error


def _all_closed(group: Group, now: float) -> GatewayError:
    wait = min((state.free_at(now) for state in group.states), default=now) - now
    known = wait != math.inf
    return ProviderUnavailable(
        f"no deployment of {group.name} can be asked" + (f" for the next {wait:.1f} s" if known else " at present"),
        model=group.name,
        retry_after=max(0.0, wait) if known else None,
    )
