"""Hears what happens, and says on request how well everything is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from gatewright.clock import MONOTONIC, Clock
from gatewright.health.config import HealthConfig
from gatewright.health.judgement import of_all, of_deployment, of_provider
from gatewright.health.report import Checked, Known, described, in_short
from gatewright.health.stores import checked_stores
from gatewright.health.traffic import Summary, Traffic
from gatewright.pipeline.events import AttemptEnded, Events, StreamEnded
from gatewright.types.deployment import Deployment

__all__ = ["BreakerState", "HealthMonitor"]

MAX_DEPLOYMENTS = 4096
"""How many deployments are remembered: names made on demand are without end."""


class BreakerState(Protocol):
    """What is read of a circuit breaker."""

    @property
    def deployment_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def provider(self) -> str:
        """Whose deployment that is."""
        ...

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`."""
        ...


class HealthMonitor:
    """A subscriber of events: each attempt costs it a microsecond. Everything else is asked for at a report.

    `deployments` gives those that are configured, so that one that was never asked is `unknown` and not missing;
    `breakers` their breakers, `queues` what waits where, `waiting` the calls that wait for a deployment (one may wait
    for several), and `stores` are checks that raise when a store is not well.
    """

    def __init__(
        self,
        config: HealthConfig | None = None,
        *,
        clock: Clock = MONOTONIC,
        deployments: Callable[[], Iterable[Deployment]] = tuple,
        breakers: Callable[[], Iterable[BreakerState]] = tuple,
        queues: Callable[[], Mapping[str, Any]] = dict,
        waiting: Callable[[], Mapping[str, Collection[object]]] = dict,
        stores: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    ) -> None:
        self.config = HealthConfig() if config is None else config
        self._clock = clock
        self._now = clock.now
        self._deployments = deployments
        self._breakers = breakers
        self._queues = queues
        self._waiting = waiting
        self._stores = dict(stores or {})
        self._traffic: dict[str, tuple[str, Traffic]] = {}
        self._checks: dict[str, Checked] = {}

    def listen(self, events: Events) -> None:
        """Hear of what happens from now on."""
        events.subscribe(self.attempted, AttemptEnded)
        events.subscribe(self.stream_ended, StreamEnded)

    def attempted(self, event: AttemptEnded) -> None:
        """Hear of an attempt."""
        now = self._now()
        known = self._traffic.get(event.deployment_id)
        traffic = self._traffic_of(event.deployment_id, event.provider) if known is None else known[1]
        if event.error is not None:
            traffic.failed(event.error, now)
        elif event.streamed:
            traffic.began(event.seconds, now)
        else:
            traffic.succeeded(event.seconds, now)

    def stream_ended(self, event: StreamEnded) -> None:
        """Hear of the end of a stream."""
        now = self._now()
        traffic = self._traffic_of(event.deployment_id, event.provider)
        if event.state == "completed":
            traffic.succeeded(event.seconds, now)
        elif event.error is not None:
            traffic.failed(event.error, now)

    def watch(self, name: str, check: Callable[[], Awaitable[object]]) -> None:
        """Have a store that is used from now on in the reports; `check` raises where it is not well."""
        self._stores[name] = check

    def checked(self, deployment: Deployment, seconds: float, error: BaseException | None) -> None:
        """Hear of an active check that took `seconds`, and of its error where it failed."""
        self._checks[deployment.id] = Checked(at=self._now(), seconds=seconds, error=error)

    def needs_check(self, deployment: Deployment, idle_for: float) -> bool:
        """Say whether nobody asked a deployment for so many seconds, or its breaker keeps calls away."""
        known = self._traffic.get(deployment.id)
        if known is None or self._now() - known[1].last_at >= idle_for:
            return True
        return any(one.deployment_id == deployment.id and one.state != "closed" for one in self._breakers())

    async def report(self) -> dict[str, Any]:
        """Describe the health of providers, their deployments, the queues and the gateway's own stores.

        The whole is unhealthy where every provider is of which anything is known, and degraded where one of them,
        or a store, is not healthy: without a store the gateway still answers.
        """
        stores = await checked_stores(self._stores, self.config.store_timeout, self._clock)
        providers = self._providers()
        status = of_all([one["status"] for one in providers.values()])
        if status in ("healthy", "unknown") and any(one["status"] != "healthy" for one in stores.values()):
            status = "degraded"
        return {
            "status": status,
            "window_seconds": self.config.window,
            "provider_health": providers,
            "queues": dict(self._queues()),
            "stores": stores,
        }

    def _traffic_of(self, deployment_id: str, provider: str) -> Traffic:
        known = self._traffic.get(deployment_id)
        if known is not None:
            return known[1]
        if len(self._traffic) >= MAX_DEPLOYMENTS:
            self._forget_one()
        traffic = Traffic(self.config.window)
        self._traffic[deployment_id] = (provider, traffic)
        return traffic

    def _forget_one(self) -> None:
        """Forget the one that was asked longest ago."""
        oldest = min(self._traffic, key=lambda one: self._traffic[one][1].last_at)
        del self._traffic[oldest]
        self._checks.pop(oldest, None)

    def _providers(self) -> dict[str, Any]:
        by_provider: dict[str, list[Known]] = {}
        for one in self._known():
            by_provider.setdefault(one.provider, []).append(one)
        return {name: self._provider(all_) for name, all_ in sorted(by_provider.items())}

    def _known(self) -> list[Known]:
        """Give what is configured, was asked or has a breaker, by deployment."""
        owners = {one.id: one.provider for one in self._deployments()}
        owners |= {id_: provider for id_, (provider, _) in self._traffic.items()}
        states = {one.deployment_id: one for one in self._breakers()}
        owners |= {id_: one.provider for id_, one in states.items()}
        nothing = Traffic(self.config.window)
        waiting = self._waiting()
        return [
            Known(
                deployment_id=id_,
                provider=provider,
                traffic=self._traffic[id_][1] if id_ in self._traffic else nothing,
                breaker=states[id_].state if id_ in states else None,
                checked=self._checks.get(id_),
                waiting=waiting.get(id_, ()),
            )
            for id_, provider in sorted(owners.items())
        ]

    def _passed(self, one: Known, now: float) -> bool | None:
        """Say what the last check came to, if that is not too long ago to matter."""
        check = one.checked
        return None if check is None or now - check.at > self.config.window else check.passed

    def _provider(self, deployments: list[Known]) -> dict[str, Any]:
        now = self._now()
        each: dict[str, dict[str, Any]] = {}
        for one in deployments:
            traffic = Summary([one.traffic], now)
            status = of_deployment(traffic, one.breaker, self._passed(one, now), self.config)
            each[one.deployment_id] = described(status, traffic, one.breaker, len(one.waiting), one.checked, now)
        traffic = Summary([one.traffic for one in deployments], now)
        status = of_provider(traffic, [one["status"] for one in each.values()], self.config)
        waiting = len({call for one in deployments for call in one.waiting})
        whole = described(status, traffic, in_short([one.breaker for one in deployments]), waiting, None, now)
        return {**whole, "deployments": each}
