"""The probes of breakers that processes share: all of them together make no more than one alone may, and add up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from struct import Struct
from typing import Any, Literal

from gatewright.clock import Clock
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.storage.redis import RedisStore, Script

__all__ = ["Entry", "SharedProbes"]

BELIEVED_SECONDS = 3.0
"""The probes of a process count for so long after it was heard of last; one that died keeps nobody from probing."""

_REPLY = Struct("<ddddddd")

What = Literal[b"ask", b"succeeded", b"tell"]
Entry = tuple[float, float, float, float]
"""What Redis has of a breaker, as `publish.lua` describes it."""
Learn = Callable[[str, Entry, float, float], None]
"""Takes note of a deployment's entry: it was so at a time there, and was asked for at a time here."""


class SharedProbes:
    """Asks before each probe whether it may go, which waits for the answer, and tells what became of it."""

    def __init__(
        self,
        store: RedisStore,
        script: Script,
        breakers: bytes,
        *,
        clock: Clock,
        can_tell: Callable[[], bool],
        known_version: Callable[[str], float],
        learn: Learn,
    ) -> None:
        self._store = store
        self._script = script
        self._breakers = breakers
        self._now = clock.now
        self._can_tell = can_tell
        self._known_version = known_version
        self._learn = learn
        self._process = os.urandom(16)

    def key(self, deployment_id: str) -> bytes:
        """Give the key of the probes of a deployment."""
        return self._store.key(f"probes:{deployment_id}")

    def begin_anew(self) -> None:
        """Be another process from now on; what this one told lapses."""
        self._process = os.urandom(16)

    async def ask(self, guard: DeploymentBreaker) -> float:
        """Ask whether the probe that was let through here last may go; gives the seconds for which none may, or 0.

        Where Redis fails, each process decides by itself.
        """
        if not self._can_tell():
            return 0.0
        answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def on_reply(wait: float) -> None:
            if not answered.done():
                answered.set_result(wait)

        self._send(guard, b"ask", on_reply)
        return await answered

    def ended(self, guard: DeploymentBreaker, succeeded: bool) -> None:
        """Tell that a probe went well, and hear how many did in all; or that it ended without a verdict.

        Where the loop was closed under the call, what was told of it lapses.
        """
        if self._can_tell():
            self._send(guard, b"succeeded" if succeeded else b"tell")

    def keep(self, guard: DeploymentBreaker) -> None:
        """Tell that probes are still under way, where there are any."""
        if guard.breaker.probes and guard.breaker.silent_at > self._now():
            self._send(guard, b"tell")

    def _send(self, guard: DeploymentBreaker, what: What, on_reply: Callable[[float], None] | None = None) -> None:
        deployment_id, breaker = guard.deployment_id, guard.breaker
        generation, asked_at = breaker.generation, self._now()
        believed = min(BELIEVED_SECONDS, max(0.0, breaker.silent_at - asked_at))
        args = [
            deployment_id.encode(),
            b"%.0f" % self._known_version(deployment_id),
            self._process,
            b"%d" % breaker.probes,
            what,
            b"%d" % breaker.most_probes,
            b"%d" % (believed * 1000),
        ]

        def answered(reply: Any) -> None:
            wait = 0.0
            if isinstance(reply, bytes):
                there, version, open_until, openings, said, wait, successes = _REPLY.unpack(reply)
                if version:
                    self._learn(deployment_id, (version, open_until, openings, said), there, asked_at)
                if breaker.generation == generation:
                    breaker.succeeded_elsewhere(int(successes), self._now())
            if on_reply is not None:
                on_reply(wait)

        self._store.run(self._script, [self._breakers, self.key(deployment_id)], args, answered)
