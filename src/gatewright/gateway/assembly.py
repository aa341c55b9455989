"""Where it is put together: the one place that knows every layer, their order, and which of them are on."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import Any

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.configuration.deployments import Deployments
from gatewright.configuration.naming import check_names
from gatewright.gateway.caching import Caching
from gatewright.gateway.flow import Flow
from gatewright.gateway.guarding import Guarding
from gatewright.gateway.recording import Recording
from gatewright.health.probes import probe_of, within
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.deadline import DeadlineLayer
from gatewright.layers.embeddings import EmbeddingsLayer
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.registry import Scope
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.router import Router
from gatewright.layers.routing.table import RoutingTable
from gatewright.llmops.recorder import Asked
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import Handler, Layer, stack
from gatewright.providers.http.base import Timeouts
from gatewright.providers.lanes import Lanes, ProviderFactory
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.usage import Price

__all__ = ["Assembly"]


class Assembly:
    """The layers of one configuration, put together.

    Call stack: recording → deadline → input guards → cache → deduplication → rate limits → batching → output guards →
    splitting of embeddings → routing.
    Attempt stack: circuit breaker → the deployment's limits → the provider.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        events: Events,
        providers: Mapping[str, ProviderFactory] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        for name, value in config.environment.items():
            os.environ.setdefault(name, value.get_secret_value())
        rng = rng or random.Random()
        self._clock = clock
        self._fallbacks, self._default_fallbacks = config.fallbacks, config.default_fallbacks
        self.lanes = _lanes(config, providers)
        deployments = Deployments(config, own=frozenset(providers or ()))
        self._attempts: dict[str, Handler] = {}
        self._asked: dict[str, Asked] = {}
        self.guarding = Guarding(config, clock=clock, events=events)
        self.recording = Recording(
            config, clock=clock, events=events, asked_of=self._asked.get, redact=self.guarding.redact
        )
        self.caching = Caching(
            config, clock=clock, events=events, table=lambda: self.table, policy=self.guarding.version
        )
        self.flow = Flow(
            config,
            clock=clock,
            events=events,
            table=lambda: self.table,
            embed_limit=self.embed_limit,
            stores={**self.caching.checks(), **self.recording.checks()},
            policy=self.guarding.version if self.guarding.manager is not None else None,
        )
        self.table = RoutingTable(
            deployments.listed(),
            aliases=config.aliases,
            strategy=config.routing_strategy,
            on_demand=deployments.on_demand,
            rng=rng,
            gate_of=self.flow.gate_of,
            on_dropped=self._drop,
            in_use=self.flow.in_use,
        )
        check_names(config, self.table)
        self._router = Router(
            self.table,
            self._attempt,
            fallbacks=_fallbacks(config),
            retries=config.retries.model_copy(update={"max_retries": config.max_retries}),
            clock=clock,
            events=events,
            rng=rng,
            continue_streams=config.continue_streams,
            rooms=self.flow.rooms,
        )
        self._outer: list[Layer] = [*self.recording.layers(), DeadlineLayer(clock)]
        self._inner: list[Layer] = [EmbeddingsLayer(self.embed_limit, config.embed_concurrency)]
        self.handle: Handler = self._router
        self._checks = self.flow.check_idle(config, self._probe) if config.health_checks.enabled else None
        self._watches = [watch for watch in (self._checks, self.flow.sharing) if watch is not None]
        self.put_together()

    def put_together(self) -> None:
        """Make the stacks, anew where a part was switched on while the gateway lives."""
        self._attempts.clear()
        layers = [
            *self._outer,
            *self.guarding.input_layers(),
            *self.caching.layers(),
            *self.flow.call_layers(),
            *self.guarding.output_layers(),
            *self._inner,
        ]
        router = self._router.__call__
        self.handle = _by_kind(stack(layers, router, GenerateRequest), stack(layers, router, EmbedRequest))
        if self._watches:
            self.handle = _started(self.start, self.handle)
        for group in self.table.groups():
            for state in group.states:
                state.gate, state.handler = self.flow.gate_of(state.deployment), None

    def start(self) -> None:
        """Start what runs beside the calls, on the running loop, where it does not run yet."""
        for watch in self._watches:
            watch.start()

    async def report(self) -> dict[str, Any]:
        """Give the health; who asks for it has what watches over it begin."""
        self.start()
        return await self.flow.report()

    def limit(self, scope: Scope, name: Any, config: RateLimitConfig | None) -> None:
        """Set, change or remove a limit; the first one puts the layer in its place."""
        if self.flow.limit(scope, name, config):
            self.put_together()

    def isolate(self, config: CircuitBreakerConfig, provider: str | None) -> None:
        """Configure the breakers; the first time puts the layers in their place."""
        if self.flow.isolate(config, provider):
            self.put_together()

    def _attempt(self, deployment: Deployment) -> Handler:
        """Give the attempt stack of a deployment."""
        handler = self._attempts.get(deployment.id)
        if handler is None:
            handler = stack(self.flow.attempt_layers(deployment), self.lanes.handler(deployment))
            self._attempts[deployment.id] = handler
            self._asked[deployment.id] = (self.lanes.lane(deployment), _price_source(deployment.price))
        return handler

    async def _probe(self, deployment: Deployment, seconds: float) -> None:
        """Ask a deployment the cheapest question: for one token, or for one vector."""
        ask = within(seconds, self.lanes.handler(deployment))
        reply = await stack(self.flow.attempt_layers(deployment), ask)(probe_of(deployment, self._clock.now()))
        async with reply:
            await reply.value()

    def _drop(self, deployment_id: str) -> None:
        self._attempts.pop(deployment_id, None)
        self._asked.pop(deployment_id, None)
        self.lanes.forget(deployment_id)
        self.flow.dropped(deployment_id)

    async def aclose(self) -> None:
        """Close what is bound to the running loop; what is asked for again is opened anew."""
        if self._checks is not None:
            await self._checks.aclose()
        await self.caching.aclose()
        await self.flow.aclose()
        await self.lanes.aclose()

    def abandon(self) -> None:
        """Let go of what is bound to a loop that is gone."""
        if self._checks is not None:
            self._checks.abandon()
        self.caching.abandon()
        self.flow.abandon()
        self.lanes.abandon()

    def start_afresh(self) -> None:
        """Forget, in a forked child, the calls that are under way in the parent."""
        self.flow.abandon(forked=True)
        self.recording.start_afresh()
        for group in self.table.groups():
            for state in group.states:
                while state.in_flight > 0:
                    group.end(state)

    def embed_limit(self, model: str) -> int:
        """Give how many inputs one request to any deployment of `model`, or of its fallbacks, may have."""
        group = self.table.find(model)
        names = self._fallbacks.get(model) or self._fallbacks.get(group.name) or self._default_fallbacks
        states = [*group.states, *(state for name in names for state in self.table.find(name).states)]
        return min(self.lanes.embed_limit(state.deployment) for state in states)


def _by_kind(texts: Handler, vectors: Handler) -> Handler:
    """Answer each kind of request by the layers that have to do with it."""

    def handle(call: Call, /) -> Any:
        return vectors(call) if call.request.__class__ is EmbedRequest else texts(call)

    return handle


def _started(start: Callable[[], None], handler: Handler) -> Handler:
    """Have the first call on an event loop start what runs beside the calls there."""

    def handle(call: Call, /) -> Any:
        start()
        return handler(call)

    return handle


def _lanes(config: GatewayConfig, providers: Mapping[str, ProviderFactory] | None) -> Lanes:
    http = config.http
    return Lanes(
        connect_timeout=http.connect_timeout,
        ca_file=http.ca_file,
        max_connections=http.max_connections,
        timeouts=Timeouts(first_byte=http.first_byte_timeout, chunk=http.chunk_timeout),
        drop_unsupported=config.drop_params,
        own=providers,
    )


def _price_source(price: Price | None) -> str | None:
    return None if price is None else "configuration" if price.own else "catalogue"


def _fallbacks(config: GatewayConfig) -> Fallbacks:
    return Fallbacks(
        by_model=config.fallbacks,
        context_window=config.context_window_fallbacks,
        content_policy=config.content_policy_fallbacks,
        default=config.default_fallbacks,
    )
