"""Flow: what shapes, merges, isolates and watches the traffic of one gateway; each part is there only if it is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.configuration.naming import find_named
from gatewright.health import HealthMonitor
from gatewright.health.checks import ActiveChecks, Probe
from gatewright.layers.batching.layer import EmbeddingsBatchingLayer
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.layer import CircuitBreakerLayer
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.layers.deduplication.layer import DeduplicationLayer
from gatewright.layers.rate_limiter import EVERY, DeploymentLimits, RateLimitConfig, RateLimiter, RateLimitLayer
from gatewright.layers.rate_limiter.registry import Scope
from gatewright.layers.routing.state import DeploymentGate
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import Layer
from gatewright.types.deployment import Deployment

if TYPE_CHECKING:
    from gatewright.gateway.sharing import Sharing
    from gatewright.layers.deduplication.shared import SharedFlightsLayer

__all__ = ["Flow", "model_named"]


class Flow:
    """Makes the layers of flow, and keeps what they share.

    `table` is asked once it is there, `stores` are checked for the health. `policy` is the version of the guards that
    an answer passes, None where there are none.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        events: Events,
        table: Callable[[], RoutingTable],
        embed_limit: Callable[[str], int],
        stores: Mapping[str, Callable[[], Awaitable[object]]],
        policy: Callable[[Call], str] | None = None,
    ) -> None:
        self._clock = clock
        self._events = events
        self._table = table
        self.sharing = _sharing(config, clock)
        self.limiter = RateLimiter(clock, events, shared=self.sharing.ledger if self.sharing is not None else None)
        self.rooms = DeploymentLimits(self.limiter)
        self._limited = False
        shared = self.sharing.breakers if self.sharing is not None else None
        self.breakers = CircuitBreakers(config.circuit_breaker, clock=clock, events=events, shared=shared)
        deduplication = config.deduplication
        self._deduplication = (
            DeduplicationLayer(deduplication, clock, events, policy) if deduplication.enabled else None
        )
        self._shared_flights = self._share_flights(config)
        self._batching = (
            EmbeddingsBatchingLayer(config.batching, embed_limit, self._most_tokens, events)
            if config.batching.enabled
            else None
        )
        self.health = HealthMonitor(
            config.health,
            clock=clock,
            deployments=self._deployments,
            breakers=self._breaker_states,
            queues=self.queues,
            waiting=self.limiter.waiting_by_deployment,
            stores={**({"redis": self.sharing.check} if self.sharing is not None else {}), **stores},
        )
        self.health.listen(events)
        self._configure(config)

    def _configure(self, config: GatewayConfig) -> None:
        if config.rate_limit is not None:
            self.limit("global", "", config.rate_limit)
        named: tuple[tuple[Scope, dict[str, RateLimitConfig]], ...] = (
            ("tenant", config.tenant_rate_limits),
            ("key", config.key_rate_limits),
        )
        for scope, limits in named:
            for name, limit in limits.items():
                self.limit(scope, name, limit)
        self._model_limits = dict(config.model_rate_limits)

    def _limit_models(self) -> None:
        """Apply the configured limits of models, once there is a table to find them in."""
        limits, self._model_limits = self._model_limits, {}
        for model, limit in limits.items():
            self.limit("model", model_named(self._table(), model, f"model_rate_limits.{model}"), limit)

    def check_idle(self, config: GatewayConfig, probe: Probe) -> ActiveChecks:
        """Make the active checks of deployments that nobody asks."""
        return ActiveChecks(
            config.health_checks,
            probe,
            deployments=self._deployments,
            needs_check=self.health.needs_check,
            told=self.health.checked,
            clock=self._clock,
        )

    def limit(self, scope: Scope, name: Any, config: RateLimitConfig | None) -> bool:
        """Set, change or (None) remove a limit, also for those who wait; True for the first one that there is."""
        self.limiter.configure(scope, name, config)
        if scope == "global":
            self.rooms.queue_by(config)
        if scope == "key" and self._deduplication is not None:
            self._deduplication.by_key = bool(self.limiter.limited("key"))
        first, self._limited = not self._limited, True
        return first

    def isolate(self, config: CircuitBreakerConfig, provider: str | None = None) -> bool:
        """Configure the breakers; True where that switches some on or off, so that the stacks have to be made anew."""
        before = self.breakers.switches
        self.breakers.configure(config, provider)
        return self.breakers.switches != before

    def _share_flights(self, config: GatewayConfig) -> SharedFlightsLayer | None:
        if self._deduplication is None or self.sharing is None or not config.deduplication.shared:
            return None
        from gatewright.layers.deduplication.shared import SharedFlightsLayer

        board = self.sharing.flights(config.deduplication.window)
        return SharedFlightsLayer(board, self._deduplication.key_of, self._events, self._clock)

    def call_layers(self) -> list[Layer]:
        """Give the layers of the call stack, outermost first, between the deadline and the splitting of embeddings."""
        self._limit_models()
        layers: list[Layer] = []
        if self._deduplication is not None:
            layers.append(self._deduplication)
        if self._shared_flights is not None:
            layers.append(self._shared_flights)
        if self._limited:
            find = self._table().find
            layers.append(RateLimitLayer(self.limiter, lambda model: find(model).name))
        if self._batching is not None:
            layers.append(self._batching)
        return layers

    def attempt_layers(self, deployment: Deployment) -> list[Layer]:
        """Give the layers of the attempts at one deployment, outermost first."""
        layers: list[Layer] = []
        if self.breakers.watch(deployment.provider):
            layers.append(CircuitBreakerLayer(self.breakers.of(deployment), self._clock))
        limits = self.rooms.layer(deployment)
        if limits is not None:
            layers.append(limits)
        return layers

    def gate_of(self, deployment: Deployment) -> DeploymentGate | None:
        """Give what routing asks about a deployment; None where nothing can close."""
        breaker = self.breakers.of(deployment) if self.breakers.watch(deployment.provider) else None
        limited = deployment.rpm or deployment.tpm or deployment.max_parallel_requests
        if breaker is not None:
            # Every call asks it whether it is closed, so it stands there itself and not behind another.
            breaker.limits = self.rooms if limited else None
            return breaker
        return _LimitsGate(deployment.id, self.rooms, self._clock) if limited else None

    def _most_tokens(self, model: str) -> float | None:
        """Give how many tokens a request may have so that any deployment of a model lets it through; None: any."""
        limits = [state.deployment.tpm for state in self._table().find(model).states]
        return min((limit for limit in limits if limit is not None), default=None)

    def in_use(self, deployment_id: str) -> bool:
        """Say whether somebody waits for a deployment or is at it, or used up some of its limit."""
        return self.rooms.in_use(deployment_id)

    def dropped(self, deployment_id: str) -> None:
        """Let go of what was kept for a deployment that is not asked any more."""
        self.rooms.forget(deployment_id)

    async def report(self) -> dict[str, Any]:
        """Give the health of the gateway, its providers and its stores."""
        return await self.health.report()

    def queues(self) -> dict[str, Any]:
        """Give how many calls wait, and for what."""
        return {
            "waiting": self.limiter.waiting,
            **({"by_limit": self._waiting_by_limit()} if self.limiter.waiting else {}),
        }

    def _waiting_by_limit(self) -> dict[str, int]:
        return dict(self.limiter.queue_status().by_limit)

    def _deployments(self) -> list[Deployment]:
        return [state.deployment for group in self._table().groups() for state in group.states]

    def _breaker_states(self) -> Any:
        return self.breakers.status()

    async def aclose(self) -> None:
        """Refuse everyone who waits for a turn."""
        if self._shared_flights is not None:
            # First these: what the streams that they end give back is still to be told to Redis.
            await self._shared_flights.aclose()
        await self.limiter.aclose()
        if self.sharing is not None:
            await self.sharing.aclose()

    def abandon(self, *, forked: bool = False) -> None:
        """Forget who waits: their event loop is gone, or is the parent process's."""
        self.limiter.abandon(forked=forked)
        if self.sharing is not None:
            self.sharing.abandon()
        for layer in (self._deduplication, self._shared_flights, self._batching):
            if layer is not None:
                layer.forget()


def model_named(table: RoutingTable, model: str, setting: str) -> str:
    """Give the name under which the limit of `model` is kept: an alias shares its model's; `"*"` is each of them."""
    if model == EVERY:
        return model
    return find_named(table, model, setting).name


def _sharing(config: GatewayConfig, clock: Clock) -> Sharing | None:
    """Make what is shared by processes; its modules are imported only where something is."""
    if config.redis_url is None:
        return None
    from gatewright.gateway.sharing import Sharing

    return Sharing(config.redis_url.get_secret_value(), config.redis_namespace, clock)


class _LimitsGate:
    """A deployment's gate where it has limits of its own and no breaker."""

    __slots__ = ("_clock", "_id", "_limits")

    def __init__(self, id_: str, limits: DeploymentLimits, clock: Clock) -> None:
        self._id = id_
        self._limits = limits
        self._clock = clock

    def free_at(self, now: float) -> float:
        return now

    def has_room(self, now: float, tokens: float) -> bool:
        return self._limits.has_room(self._id, now, tokens)

    async def wait(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
