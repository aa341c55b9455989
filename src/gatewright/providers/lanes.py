"""Which provider answers for a deployment, and by which lane; made when first asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.providers.base import Provider
from gatewright.providers.catalogue import wire_spec
from gatewright.providers.http.base import HttpClient, Timeouts
from gatewright.types.deployment import Deployment

__all__ = ["Lanes", "ProviderFactory", "lane_of"]

ProviderFactory = Callable[[Deployment], Provider]
"""Makes a provider of your own for a deployment."""

log = logging.getLogger("gatewright.lanes")

UNLIMITED = 1_000_000


def lane_of(deployment: Deployment) -> str:
    """Give `direct`, `litellm`, or the name of the provider that needs no lane; `ConfigurationError` for neither."""
    if deployment.provider in ("simulator", "local"):
        return deployment.provider
    speaks = wire_spec(deployment.provider) is not None
    if deployment.lane == "litellm":
        return "litellm"
    if deployment.lane == "direct" and not speaks and deployment.base_url is None:
        raise ConfigurationError(
            f"lane: {deployment.provider} is not known to speak the OpenAI format: give an api_base, or lane: litellm"
        )
    if deployment.lane == "direct" or speaks:
        return "direct"
    return "litellm"


class Lanes:
    """Makes and keeps the providers of all deployments; they share one HTTP client for each protocol."""

    def __init__(
        self,
        *,
        connect_timeout: float | None = 10.0,
        ca_file: str | None = None,
        max_connections: int = 0,
        timeouts: Timeouts = Timeouts(),
        drop_unsupported: bool = False,
        own: Mapping[str, ProviderFactory] | None = None,
    ) -> None:
        # The packages of a lane are imported when a gateway is made, not when gatewright is imported.
        from gatewright.providers.http.aiohttp_client import AiohttpClient

        self._http: HttpClient = AiohttpClient(
            connect_timeout=connect_timeout, ca_file=ca_file, max_connections=max_connections
        )
        self._http2: HttpClient | None = None
        self._http2_settings = (connect_timeout, ca_file)
        self._timeouts = timeouts
        self._drop = drop_unsupported
        self._own = dict(own or {})
        self._providers: dict[str, Provider] = {}

    def provider(self, deployment: Deployment) -> Provider:
        """Give the provider that answers for `deployment`."""
        provider = self._providers.get(deployment.id)
        if provider is None:
            provider = self._providers[deployment.id] = self._make(deployment)
        return provider

    def handler(self, deployment: Deployment) -> Handler:
        """Give what asks the provider of `deployment`: it is found anew each time, because closing lets go of it."""

        def ask(call: Call, /) -> Any:
            provider = self._providers.get(deployment.id)
            if provider is None:
                provider = self.provider(deployment)
            return provider.__call__(call)  # as a method: that costs the interpreter less than calling an object

        return ask

    def lane(self, deployment: Deployment) -> str:
        """Give the lane by which a deployment is asked; `own` for a provider of the user's own."""
        if deployment.provider in self._own:
            return "own"
        try:
            return lane_of(deployment)
        except ConfigurationError:  # its calls fail with it
            return deployment.lane

    def forget(self, deployment_id: str) -> None:
        """Let go of the provider of a deployment that is no more."""
        self._providers.pop(deployment_id, None)

    def embed_limit(self, deployment: Deployment) -> int:
        """Give how many inputs one embeddings request may have."""
        own = deployment.settings.get("embed_batch")
        if isinstance(own, int) and own > 0:
            return own
        if deployment.provider in ("simulator", "local") or deployment.provider in self._own:
            return UNLIMITED
        spec = wire_spec(deployment.provider)
        return spec.embed_batch if spec is not None else 96

    def _make(self, deployment: Deployment) -> Provider:
        own = self._own.get(deployment.provider)
        if own is not None:
            return own(deployment)
        lane = lane_of(deployment)
        if lane == "simulator":
            from gatewright.providers.simulator import SimulatorProvider

            return SimulatorProvider(deployment)
        if lane == "local":
            from gatewright.providers.local.provider import LocalProvider

            return LocalProvider(deployment, self._wire)
        if lane == "litellm":
            from gatewright.providers.litellm.provider import LiteLLMProvider

            return LiteLLMProvider(deployment, drop_unsupported=self._drop)
        return self._wire(deployment)

    def _wire(self, deployment: Deployment) -> Provider:
        from gatewright.providers.openai_wire.provider import OpenAIWire

        http = self._second_client() if deployment.http2 else self._http
        return OpenAIWire(deployment, http, drop_unsupported=self._drop, timeouts=self._timeouts)

    def _second_client(self) -> HttpClient:
        if self._http2 is None:
            from gatewright.providers.http.httpx_client import HttpxClient

            connect_timeout, ca_file = self._http2_settings
            self._http2 = HttpxClient(connect_timeout=connect_timeout, ca_file=ca_file)
        return self._http2

    async def aclose(self) -> None:
        """Close all providers and all connections; those that are asked again are made anew."""
        providers, self._providers = list(self._providers.values()), {}
        for closable in (*providers, self._http, self._http2):
            if closable is None:
                continue
            try:
                await closable.aclose()
            except Exception:
                log.exception("closing %s failed", type(closable).__name__)

    def abandon(self) -> None:
        """Let go of all connections without their loop."""
        self._providers = {}
        for http in (self._http, self._http2):
            if http is not None:
                http.abandon()
