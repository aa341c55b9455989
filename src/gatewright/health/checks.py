"""Active checks: deployments that nobody asks, or that a breaker keeps closed, are asked now and then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import GatewayError
from gatewright.health.config import ActiveCheckConfig
from gatewright.types.deployment import Deployment

__all__ = ["ActiveChecks", "Probe"]

Probe = Callable[[Deployment, float], Awaitable[object]]
"""Asks a deployment something cheap; raises what it fails with, `ProviderTimeout` after so many seconds."""


class ActiveChecks:
    """Checks what `needs_check` names, each deployment at its own times and never twice at once.

    It runs on the loop that starts it until it is closed. `told` hears of every check: the deployment, the seconds it
    took, and its error. One that the gateway itself refused (`asked` is False: a breaker whose time has not come)
    was none.
    """

    def __init__(
        self,
        config: ActiveCheckConfig,
        probe: Probe,
        *,
        deployments: Callable[[], Iterable[Deployment]],
        needs_check: Callable[[Deployment, float], bool],
        told: Callable[[Deployment, float, BaseException | None], None],
        clock: Clock = MONOTONIC,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._probe = probe
        self._deployments = deployments
        self._needs_check = needs_check
        self._told = told
        self._clock = clock
        self._rng = rng or random.Random()
        self._rounds: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin on the running loop, if it is switched on and has not begun."""
        if self._config.enabled and (self._rounds is None or self._rounds.done()):
            self._under_way.clear()
            self._rounds = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """End; nothing is left running."""
        tasks = [task for task in (self._rounds, *self._under_way.values()) if task is not None]
        self._rounds = None
        self._under_way.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Let go of tasks whose loop is gone."""
        self._rounds = None
        self._under_way.clear()

    async def _run(self) -> None:
        while True:
            for deployment in self._deployments():
                if deployment.id not in self._under_way:
                    self._begin(deployment)
            await self._clock.sleep(self._config.interval)

    def _begin(self, deployment: Deployment) -> None:
        task = asyncio.get_running_loop().create_task(self._check(deployment))
        self._under_way[deployment.id] = task
        task.add_done_callback(lambda done: self._ended(deployment.id, done))

    def _ended(self, deployment_id: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(deployment_id) is task:
            del self._under_way[deployment_id]

    async def _check(self, deployment: Deployment) -> None:
        """Wait for this deployment's own moment of the round, and ask it if it is still to be asked."""
        await self._clock.sleep(self._config.interval * self._config.jitter * self._rng.random())
        if not self._needs_check(deployment, self._config.interval):
            return
        began, error = self._clock.now(), await self._asked(deployment)
        if not isinstance(error, GatewayError) or error.asked:
            self._told(deployment, self._clock.now() - began, error)

    async def _asked(self, deployment: Deployment) -> BaseException | None:
        try:
            await self._probe(deployment, self._config.timeout)
        except Exception as error:  # noqa: BLE001 - whatever it fails with is what there is to be told
            return error
        return None
