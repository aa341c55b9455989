"""Where it is put together: the one place that knows every layer, their order, and which of them are on."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping

from gatewright.clock import Clock
from gatewright.errors import ConfigurationError, NotFound
from gatewright.gateway.config import GatewayConfig
from gatewright.gateway.deployments import Deployments
from gatewright.layers.deadline import DeadlineLayer
from gatewright.layers.embeddings import EmbeddingsLayer
from gatewright.layers.routing.plan import Fallbacks
from gatewright.layers.routing.router import Router
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import Handler, Layer, stack
from gatewright.providers.http.base import Timeouts
from gatewright.providers.lanes import Lanes, ProviderFactory

__all__ = ["Assembly"]


class Assembly:
    """The layers of one configuration, put together.

    Call stack: deadline → embeddings → routing. Attempt stack: the provider.
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
        self.lanes = _lanes(config, providers)
        deployments = Deployments(config, own=frozenset(providers or ()))
        self.table = RoutingTable(
            deployments.listed(),
            aliases=config.aliases,
            strategy=config.routing_strategy,
            on_demand=deployments.on_demand,
            rng=rng,
        )
        _check_names(config, self.table)
        router = Router(
            self.table,
            self.lanes.provider,
            fallbacks=_fallbacks(config),
            retries=config.retries.model_copy(update={"max_retries": config.max_retries}),
            clock=clock,
            events=events,
            rng=rng,
            continue_streams=config.continue_streams,
        )
        layers: list[Layer] = [DeadlineLayer(clock), EmbeddingsLayer(self.embed_limit, config.embed_concurrency)]
        self.handle: Handler = stack(layers, router)

    async def aclose(self) -> None:
        """Close what is bound to the running loop; what is asked for again is opened anew."""
        await self.lanes.aclose()

    def abandon(self) -> None:
        """Let go of what is bound to a loop that is gone."""
        self.lanes.abandon()

    def start_afresh(self) -> None:
        """Forget, in a forked child, the calls that are under way in the parent."""
        for group in self.table.groups():
            for state in group.states:
                while state.in_flight > 0:
                    group.end(state)

    def embed_limit(self, model: str) -> int:
        """Give how many inputs one request to any deployment of `model` may have."""
        return min(self.lanes.embed_limit(state.deployment) for state in self.table.find(model).states)


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


def _fallbacks(config: GatewayConfig) -> Fallbacks:
    return Fallbacks(
        by_model=config.fallbacks,
        context_window=config.context_window_fallbacks,
        content_policy=config.content_policy_fallbacks,
        default=config.default_fallbacks,
    )


def _check_names(config: GatewayConfig, table: RoutingTable) -> None:
    """Find every model that the configuration names, so that a slip shows at the start and not in an outage."""
    named = {"default_model": [config.default_model], "default_embedding_model": [config.default_embedding_model]}
    named["default_fallbacks"] = list(config.default_fallbacks)
    for setting in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for model, targets in getattr(config, setting).items():
            named[f"{setting}.{model}"] = [model, *targets]
    for alias, target in config.aliases.items():
        named[f"aliases.{alias}"] = [target]
    for setting, models in named.items():
        for model in filter(None, models):
            try:
                table.find(model)
            except NotFound as error:
                raise ConfigurationError(f"{setting}: {error.message}", param=setting) from error
