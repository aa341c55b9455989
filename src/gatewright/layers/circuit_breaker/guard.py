"""One deployment's breaker as others meet it: the layer with its calls, routing with its questions, the waiting."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from typing import Protocol

from gatewright.clock import Clock
from gatewright.errors import ProviderUnavailable
from gatewright.layers.circuit_breaker.breaker import REFUSED, Breaker, Transition
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.faults import is_silence
from gatewright.pipeline.cut_off import mark_as_unasked
from gatewright.pipeline.events import BreakerChanged, Events
from gatewright.pipeline.settling import Outcome

__all__ = ["DeploymentBreaker"]

VERDICT_EXPECTED = 1.0
"""Seconds after which to look again while all probes are under way; a verdict that comes sooner ends the waiting."""


class Room(Protocol):
    """Whoever knows the room that deployments have."""

    def has_room(self, deployment_id: str, now: float, tokens: float) -> bool:
        """Say whether a call of so many tokens would go through at once, or have to wait."""
        ...

    def turn_away(self, deployment_id: str, error: Callable[[], ProviderUnavailable]) -> None:
        """Have nobody wait for room at a deployment to which no call may go now: `error` is what they get."""
        ...


class OtherProcesses(Protocol):
    """Whoever knows the probes of other processes."""

    async def ask(self, guard: DeploymentBreaker) -> float:
        """Ask whether the probe that was let through here last may go; gives the seconds for which none may, or 0."""
        ...


class DeploymentBreaker:
    """Routing's gate and the layer's judge of one deployment; on the home loop only."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_events",
        "breaker",
        "deployment_id",
        "limits",
        "on_change",
        "others",
        "provider",
        "waiting",
    )

    def __init__(
        self,
        deployment_id: str,
        provider: str,
        config: CircuitBreakerConfig,
        *,
        clock: Clock,
        events: Events,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.deployment_id = deployment_id
        self.provider = provider
        self.breaker = Breaker(config, self._changed, random)
        self._clock = clock
        self._events = events
        self.waiting: set[asyncio.Future[None]] = set()
        """Who waits for something to change."""
        self.limits: Room | None = None
        """Whoever knows whether the deployment has room."""
        self.others: OtherProcesses | None = None
        """Whoever is asked before a probe goes, where processes share the breaker."""
        self.on_change: Callable[[DeploymentBreaker, Transition], None] | None = None

    def free_at(self, now: float) -> float:
        """Give the time from which a call may be tried: `now` where it would be let through at once."""
        breaker = self.breaker
        if breaker.state == "closed":
            return now
        at = breaker.next_probe_at(now)
        if at is None:
            return now
        return min(at, now + VERDICT_EXPECTED) if breaker.state == "half_open" else at

    def has_room(self, now: float, tokens: float = 1.0) -> bool:
        """Say whether its limits would let a call of so many tokens through at once; yes where it has none."""
        return self.limits is None or self.limits.has_room(self.deployment_id, now, tokens)

    async def wait(self, seconds: float) -> None:
        """Wait until something changes (a probe's verdict, a hand), `seconds` at most."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        self.waiting.add(changed)
        try:
            await asyncio.wait((changed, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting.discard(changed)
            sleeping.cancel()

    def succeeded(self, permit: int) -> None:
        """Say that the call with this pass was answered."""
        self.breaker.record_success(permit, self._clock.now())
        if self.waiting:
            self.wake()

    def failed(self, permit: int, error: BaseException) -> None:
        """Say that the call with this pass failed."""
        self.breaker.record_failure(permit, error, self._clock.now())
        if self.waiting:
            self.wake()

    def given_up(self, permit: int) -> None:
        """Say that the call with this pass ended without a verdict."""
        self.breaker.probe_abandoned(permit)
        if self.waiting:
            self.wake()

    def settled(self, permit: int, outcome: Outcome[object]) -> None:
        """Say how the stream of the call with this pass ended; what its reader or a deadline cut off says nothing."""
        if outcome.state == "completed":
            self.succeeded(permit)
        elif outcome.state == "failed" and outcome.error is not None and not is_silence(outcome.error):
            self.failed(permit, outcome.error)
        else:
            self.given_up(permit)

    async def probe(self) -> int:
        """Give a pass for a call while it is not closed, or raise `ProviderUnavailable`."""
        permit = self.breaker.allow(self._clock.now())
        if permit and self.others is not None:
            permit = await self._agreed(permit, self.others)
        if not permit:
            raise self._refusal(self._clock.now())
        return permit

    async def _agreed(self, permit: int, others: OtherProcesses) -> int:
        """Give the pass that a probe has once the other processes were asked; it keeps its place here meanwhile."""
        breaker = self.breaker
        try:
            wait = await others.ask(self)
        except BaseException as error:
            mark_as_unasked(error)
            self.given_up(permit)
            raise
        if wait and permit == breaker.generation:
            breaker.probe_refused(permit, self._clock.now() + wait)
            self.wake()
            return REFUSED
        if breaker.state == "closed":
            return breaker.generation
        return permit if permit == breaker.generation else REFUSED

    def open_by_hand(self) -> None:
        """Let nothing through until it is closed or reset, and have those who wait for the next probe know."""
        self.breaker.open_by_hand(self._clock.now())
        self.wake()

    def _refusal(self, now: float) -> ProviderUnavailable:
        wait = self.free_at(now) - now
        known = wait != math.inf
        state = self.breaker.state.replace("_", " ")
        error = ProviderUnavailable(
            f"the circuit breaker of {self.deployment_id} is {state}"
            + (f": it is tried again in {wait:.1f} s" if known else ", by hand, until it is closed or reset"),
            provider=self.provider,
            retry_after=wait if known else None,
        )
        error.asked = False
        return error

    def _changed(self, transition: Transition) -> None:
        until = transition.open_until
        self._events.emit(
            BreakerChanged(
                deployment_id=self.deployment_id,
                provider=self.provider,
                before=transition.before,
                after=transition.after,
                reason=transition.reason,
                open_for=None if until is None or until == math.inf else until - transition.at,
            )
        )
        if self.on_change is not None:
            self.on_change(self, transition)
        if transition.after == "open" and self.limits is not None:
            self.limits.turn_away(self.deployment_id, lambda: self._refusal(transition.at))
        self.wake()

    def wake(self) -> None:
        """Have those who wait look again."""
        waiting, self.waiting = self.waiting, set()
        for changed in waiting:
            # One whose loop was closed under it has nobody left to wake.
            if not changed.done() and not changed.get_loop().is_closed():
                changed.set_result(None)
