"""What routing knows of each deployment: how busy it is, how fast, and until when it is to be left alone."""

from __future__ import annotations

import math
from typing import Protocol

from gatewright.clock import Clock
from gatewright.pipeline.layer import Handler
from gatewright.types.deployment import Deployment

__all__ = ["DeploymentGate", "DeploymentState"]

DECAY_SECONDS = 10.0
"""How long a slow answer is remembered: Finagle's default for its peak EWMA."""
FAILURE_SECONDS = 5.0
"""What a failure counts as, at least: one that fails at once is not to be taken for a fast one."""
UNKNOWN_SECONDS = 1e6
"""What a deployment is taken for whose first answer has not come: after Finagle, one call at a time finds out."""


class DeploymentGate(Protocol):
    """What the attempt stack's layers know of whether a deployment can be asked."""

    def free_at(self, now: float) -> float:
        """Give the time from which it may be asked at all: `now` or earlier unless its breaker is open."""
        ...

    def has_room(self, now: float, tokens: float) -> bool:
        """Say whether a call of so many tokens would go through at once, or have to wait for its own limits."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait until a closed gate may have opened, `seconds` at most."""
        ...


class DeploymentState:
    """The live side of one deployment; touched on the home loop only.

    Its `gate` is None where nothing can close, its `handler`, which answers an attempt, until the first one is made.
    """

    __slots__ = ("_measured_at", "deployment", "gate", "handler", "in_flight", "latency", "limited", "paused_until")

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.gate: DeploymentGate | None = None
        self.handler: Handler | None = None
        self.in_flight = 0
        self.latency = 0.0
        self.paused_until = 0.0
        self.limited = False
        self._measured_at = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """Take a latency in: a slower one at once, a faster one by exponential decay (peak EWMA, after Finagle)."""
        if seconds >= self.latency:
            self.latency = seconds
        else:
            past = now - self._measured_at
            weight = math.exp(-past / DECAY_SECONDS) if past > 0.0 else 1.0
            self.latency = self.latency * weight + seconds * (1 - weight)
        self._measured_at = now

    def failed(self, seconds: float, now: float) -> None:
        """Take a failure in."""
        self.observe(max(seconds, self.latency, FAILURE_SECONDS), now)

    def load(self, now: float) -> float:
        """Give the expected wait: latency, as far as it is still remembered, times what is ahead.

        An unmeasured deployment is tried early, but by one call only until that has an answer.
        """
        if self.latency == 0.0:
            return UNKNOWN_SECONDS * self.in_flight
        return self.latency * math.exp(-max(0.0, now - self._measured_at) / DECAY_SECONDS) * (self.in_flight + 1)

    def free_at(self, now: float) -> float:
        """Give the time from which it may be asked: after its pause, and when its breaker lets a call through."""
        gate, paused_until = self.gate, self.paused_until
        if gate is None:
            return paused_until
        at = gate.free_at(now)
        return at if at > paused_until else paused_until

    def has_room(self, now: float, tokens: float) -> bool:
        """Say whether a call of so many tokens would go through at once."""
        return self.gate is None or self.gate.has_room(now, tokens)

    def is_closed(self, now: float) -> bool:
        """Say whether its gate keeps calls away; a pause that its provider asked for is another matter."""
        return self.gate is not None and self.gate.free_at(now) > now

    async def wait(self, seconds: float, clock: Clock) -> None:
        """Wait before it is asked; a gate that opens sooner ends the waiting for it."""
        if self.gate is not None and self.gate.free_at(clock.now()) > clock.now():
            await self.gate.wait(seconds)
        else:
            await clock.sleep(seconds)

    def pause(self, until: float, *, limited: bool = False) -> None:
        """Leave it alone until then, `limited` by its provider or down; an earlier end never shortens a later one."""
        if until > self.paused_until:
            self.paused_until, self.limited = until, limited
