"""What can be changed and looked at while a gateway lives: limits, breakers, queues, health."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gatewright.configuration.config import GatewayConfig
from gatewright.configuration.deployments import LOCAL_PROVIDERS
from gatewright.errors import ConfigurationError
from gatewright.gateway.assembly import Assembly
from gatewright.gateway.flow import model_named
from gatewright.gateway.home import HomeLoop
from gatewright.layers.cache import CacheMechanism
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.registry import CircuitBreakers
from gatewright.layers.circuit_breaker.status import CircuitBreakerStatus
from gatewright.layers.rate_limiter import LimitStatus, QueueStatus, RateLimitConfig
from gatewright.layers.rate_limiter.registry import Scope
from gatewright.llmops.pricing import catalogue
from gatewright.providers.catalogue import KEY_VARIABLES, provider_name
from gatewright.types.configuration import Config, nearest

__all__ = ["FlowControls"]

C = TypeVar("C", bound=Config)


class FlowControls:
    """The gateway's methods of this kind; each runs on the home loop, from wherever it is called."""

    config: GatewayConfig
    _home: HomeLoop
    _assembly: Assembly

    def configure_rate_limiting(
        self,
        config: RateLimitConfig | None,
        tenant_id: str | None = None,
        model: str | None = None,
        *,
        key_id: str | None = None,
    ) -> None:
        """Set a limit, change it (also for calls that wait) or, with None, remove it.

        Without tenant, model and key it holds for the whole gateway; `"*"` as one of them is each of them separately;
        tenant and model together are one tenant's use of one model.
        """
        if config is not None and not isinstance(config, RateLimitConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"config: expected a RateLimitConfig, got {type(config).__name__}", param="config")
        config = None if config is None else _read_again(config)
        _check_name("tenant_id", tenant_id)
        _check_name("model", model)
        _check_name("key_id", key_id)
        if key_id is not None and (tenant_id is not None or model is not None):
            raise ConfigurationError(
                "key_id: a key's limit holds for all it asks: name no tenant or model beside it", param="key_id"
            )

        def limit() -> None:
            name = None if model is None else model_named(self._assembly.table, model, "model")
            scope = ("key", key_id) if key_id is not None else _scope(tenant_id, name)
            if config is None:
                self._check_limited(*scope)
            self._assembly.limit(*scope, config)

        self._home.do(limit)

    def configure_circuit_breaker(self, config: CircuitBreakerConfig, provider: str | None = None) -> None:
        """Set when the breakers open and close: those of one provider, or of all that have no setting of their own."""
        if not isinstance(config, CircuitBreakerConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"config: expected a CircuitBreakerConfig, got {type(config).__name__}", param="config"
            )
        config = _read_again(config)
        _check_name("provider", provider)
        self._home.do(lambda: self._assembly.isolate(config, self._known_provider(provider)))

    def circuit_breakers(self) -> list[CircuitBreakerStatus]:
        """Give every breaker that there is: of each deployment that was asked since they were switched on."""
        return self._home.do(self._assembly.flow.breakers.status)

    def open_circuit_breaker(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Keep all calls away from a deployment, a provider, or everything, until it is closed or reset by hand."""
        self._by_hand(CircuitBreakers.open, deployment_id, provider)

    def close_circuit_breaker(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Let calls through again."""
        self._by_hand(CircuitBreakers.close, deployment_id, provider)

    def reset_circuit_breaker(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Close it and forget what it counted."""
        self._by_hand(CircuitBreakers.reset, deployment_id, provider)

    def queue_status(self) -> QueueStatus:
        """Give which calls wait, for what, at which place, and for how long still."""
        return self._home.do(self._assembly.flow.limiter.queue_status)

    def allowed_at_once(
        self, tenant_id: str | None = None, model: str | None = None, *, key_id: str | None = None
    ) -> int | None:
        """Give how many such calls the limits let through at once; None where none of them bounds that."""
        _check_text("tenant_id", tenant_id)
        _check_text("key_id", key_id)
        asked = model or self.config.default_model

        def allowed() -> int | None:
            group = None if asked is None else self._assembly.table.find(asked)
            name = None if group is None else group.name
            bounds = [self._assembly.flow.limiter.allowed_at_once(tenant_id, name, key_id)]
            if group is not None:
                each = [state.deployment.max_parallel_requests for state in group.states]
                bounds.append(None if None in each else sum(filter(None, each)))
            return min((bound for bound in bounds if bound is not None), default=None)

        return self._home.do(allowed)

    def rate_limits(self) -> list[LimitStatus]:
        """Give what is left of every limit in use."""
        return self._home.do(self._assembly.flow.limiter.levels)

    async def get_health(self) -> dict[str, Any]:
        """Give how well the gateway, its providers and its stores are; see docs/health.md for the fields."""
        report = await self._home.run(self._assembly.report)
        tally = self._assembly.guarding.tally
        return report if tally is None else {**report, "guards": tally.counts()}

    @property
    def cache(self) -> CacheMechanism | None:
        """The response cache, to be looked at and invalidated; None where caching is off."""
        return self._assembly.caching.cache

    def _check_limited(self, scope: Scope, name: Any) -> None:
        """Refuse to remove the limit of a tenant, model or key that has none: its name may be a slip."""
        limited = self._assembly.flow.limiter.limited(scope)
        if scope == "global" or name in limited:
            return
        what = {"tenant": "tenant_id", "model": "model", "key": "key_id"}.get(scope, "tenant_id")
        near = nearest(name, [one for one in limited if isinstance(one, str)]) if isinstance(name, str) else None
        raise ConfigurationError(
            f"{what}: there is no limit for {name!r}" + (f"; did you mean {near!r}?" if near else ""), param=what
        )

    def _by_hand(self, act: Callable[..., None], deployment_id: str | None, provider: str | None) -> None:
        _check_text("deployment_id", deployment_id)
        _check_text("provider", provider)
        self._home.do(lambda: act(self._breakers(), deployment_id, provider=self._own_name(provider)))

    def _own_name(self, provider: str | None) -> str | None:
        """Give a provider's name as its deployments have it: `google` may be written where that is `gemini`."""
        return provider if provider is None or provider in self._providers_asked() else provider_name(provider)

    def _known_provider(self, provider: str | None) -> str | None:
        """Give a provider's name as its deployments have it or will have it; a slip of the pen is an error."""
        name = self._own_name(provider)
        if name is None or name in self._providers_asked():
            return name
        known = {*map(provider_name, self.config.providers), *KEY_VARIABLES, *LOCAL_PROVIDERS, *catalogue().providers()}
        if name not in known:
            near = nearest(name, sorted(known | self._providers_asked()))
            raise ConfigurationError(
                f"provider: there is no provider {name!r}" + (f"; did you mean {near!r}?" if near else ""),
                param="provider",
            )
        return name

    def _providers_asked(self) -> set[str]:
        return {state.deployment.provider for group in self._assembly.table.groups() for state in group.states}

    def _breakers(self) -> CircuitBreakers:
        breakers = self._assembly.flow.breakers
        if not breakers.are_on:
            raise ConfigurationError("circuit_breaker: it is off: configure_circuit_breaker switches it on")
        return breakers


def _read_again(config: C) -> C:
    """Check a configuration that may have been made without: by pydantic's `model_copy` or `model_construct`."""
    return type(config).read(dict(config), "")


def _check_text(what: str, name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise ConfigurationError(f"{what}: expected a name, got {name!r}", param=what)


def _check_name(what: str, name: object) -> None:
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigurationError(f"{what}: expected a name that is not empty, got {name!r}", param=what)


def _scope(tenant: str | None, model: str | None) -> tuple[Scope, Any]:
    if tenant is None:
        return ("global", "") if model is None else ("model", model)
    return ("tenant", tenant) if model is None else ("tenant_model", (tenant, model))
