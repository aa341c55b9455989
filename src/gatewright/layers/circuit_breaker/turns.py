"""Whose turn it is to probe: of all processes one, for as long as it probes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gatewright.clock import Clock
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.storage.redis import RedisStore, Script

__all__ = ["ProbeTurns"]

TURN_SECONDS = 2.0
"""A turn ends so long after its process was heard of last, or made its last probe."""
ASK_AGAIN_AFTER = 0.5
# An answer comes sooner, or the store says that there will be none.
ANSWER_EXPECTED = 0.2


class ProbeTurns:
    """The turns of this process: they are asked for by the call that would be a probe, which does not wait for it."""

    def __init__(self, store: RedisStore, script: Script, process: bytes, clock: Clock) -> None:
        self._store = store
        self._script = script
        self._process = process
        self._now = clock.now
        self._mine: dict[str, float] = {}

    def key(self, deployment_id: str) -> bytes:
        """Give the key of who probes."""
        return self._store.key(f"probes:{deployment_id}")

    def ask(self, guard: DeploymentBreaker, now: float) -> float:
        """Give the time from which this process may probe: `now` where it is its turn, later where it is asked for."""
        if self._store.is_degraded or self._mine.get(guard.deployment_id, -math.inf) > now:
            return now
        self._send(guard.deployment_id, TURN_SECONDS, lambda reply: self._answered(guard, reply))
        # Where the store has failed meanwhile, that was the answer.
        return now if self._mine.get(guard.deployment_id, -math.inf) > now else now + ANSWER_EXPECTED

    def keep(self, guard: DeploymentBreaker, now: float) -> None:
        """Keep the turn while there are probes; let another process have it where there is nothing to probe with."""
        deployment_id = guard.deployment_id
        if deployment_id not in self._mine:
            return
        if guard.breaker.is_probing(now, TURN_SECONDS):
            self._send(deployment_id, TURN_SECONDS, lambda reply: self._kept(guard, reply))
        elif guard.breaker.state == "half_open" or self._mine[deployment_id] <= now:
            self._give_back(guard, now)

    def forget(self, deployment_id: str) -> None:
        """Take note that the turn was given back with what came of it."""
        self._mine.pop(deployment_id, None)

    def clear(self) -> None:
        """Forget them all; they lapse."""
        self._mine.clear()

    def _answered(self, guard: DeploymentBreaker, reply: Any) -> None:
        now = self._now()
        if reply == 0:
            guard.breaker.probe_from(now + ASK_AGAIN_AFTER)
            return
        # Also where Redis fails: then each process probes by itself.
        self._mine[guard.deployment_id] = now + TURN_SECONDS
        guard.breaker.probe_from(now)
        guard.wake()

    def _kept(self, guard: DeploymentBreaker, reply: Any) -> None:
        if reply == 1:
            self._mine[guard.deployment_id] = self._now() + TURN_SECONDS
        elif reply == 0 and guard.breaker.state == "half_open":
            self._mine.pop(guard.deployment_id, None)
            guard.breaker.open_elsewhere(self._now(), 0, self._now())

    def _give_back(self, guard: DeploymentBreaker, now: float) -> None:
        self._mine.pop(guard.deployment_id, None)
        if guard.breaker.state == "half_open":
            guard.breaker.open_elsewhere(now, 0, now)
        self._send(guard.deployment_id, 0.0, lambda reply: None)

    def _send(self, deployment_id: str, seconds: float, on_reply: Callable[[Any], None]) -> None:
        args = [self._process, b"%d" % (seconds * 1000)]
        self._store.run(self._script, [self.key(deployment_id)], args, on_reply)
