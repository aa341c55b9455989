"""All circuit breakers: one a deployment, made on first need, configured and moved by hand by provider too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from gatewright.clock import Clock
from gatewright.errors import ConfigurationError, NotFound
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.layers.circuit_breaker.status import CircuitBreakerStatus, ProviderBreakers, rolled_up, status_of
from gatewright.pipeline.events import Events
from gatewright.types.configuration import nearest
from gatewright.types.deployment import Deployment

if TYPE_CHECKING:
    from gatewright.layers.circuit_breaker.shared import SharedBreakers

__all__ = ["CircuitBreakers"]


class CircuitBreakers:
    """Keeps a breaker for as long as someone uses it; on the home loop only.

    A configuration of a provider's own stands before the one for all. What a hand does to a whole provider, or to all,
    holds for the deployments that are asked for later, too. `shared` tells other processes, and hears from them.
    """

    def __init__(
        self,
        config: CircuitBreakerConfig,
        *,
        clock: Clock,
        events: Events,
        random: Callable[[], float] = random.random,
        shared: SharedBreakers | None = None,
    ) -> None:
        self._config = _checked(config)
        self._shared = shared
        self._of_provider: dict[str, CircuitBreakerConfig] = {}
        self._all_opened = False
        self._opened: dict[str, bool] = {}  # the providers of which it was said since, or of which alone
        self._clock = clock
        self._events = events
        self._random = random
        # Deployments made on demand come and go with their groups: the breakers go with them.
        self._guards: WeakValueDictionary[str, DeploymentBreaker] = WeakValueDictionary()

    @property
    def switches(self) -> tuple[bool, dict[str, bool]]:
        """Whether breakers are on: for all, and for the providers that have a setting of their own."""
        return self._config.enabled, {name: config.enabled for name, config in self._of_provider.items()}

    @property
    def are_on(self) -> bool:
        """Whether there are any."""
        return self._config.enabled or any(config.enabled for config in self._of_provider.values())

    def watch(self, provider: str) -> bool:
        """Whether the deployments of a provider have breakers."""
        return self._config_of(provider).enabled

    def of(self, deployment: Deployment) -> DeploymentBreaker:
        """Give the breaker of `deployment`: routing's gate, and what its layer is made with."""
        guard = self._guards.get(deployment.id)
        if guard is None:
            guard = self._guards[deployment.id] = DeploymentBreaker(
                deployment.id,
                deployment.provider,
                self._config_of(deployment.provider),
                clock=self._clock,
                events=self._events,
                random=self._random,
            )
            if self._shared is not None:
                self._shared.add(guard)
            if self._opened.get(deployment.provider, self._all_opened):
                guard.open_by_hand()
                self._tell_by_hand(guard)
        return guard

    def configure(self, config: CircuitBreakerConfig | None, provider: str | None = None) -> None:
        """Apply `config` at once, to one provider's deployments or to all that have none of their own.

        None takes a provider's own configuration away.
        """
        if provider is None:
            self._config = _checked(config)
        elif config is None:
            self._of_provider.pop(provider, None)
        else:
            self._of_provider[provider] = _checked(config)
        for guard in self._guards.values():
            if provider is None or guard.provider == provider:
                guard.breaker.change(self._config_of(guard.provider))
                if not self.watch(guard.provider):
                    guard.wake()

    def free_at(self, deployment_id: str, now: float) -> float:
        """Give the time from which a deployment may be asked; `now` where it may be asked at once."""
        guard = self._guards.get(deployment_id)
        return now if guard is None else guard.free_at(now)

    def open(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Let nothing through to a deployment, a provider's, or all known ones, until it is closed or reset."""
        for guard in self._moved(deployment_id, provider, opened=True):
            guard.open_by_hand()
            self._tell_by_hand(guard)

    def close(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Let everything through again, to the same choice; how often a breaker opened lately is remembered."""
        for guard in self._moved(deployment_id, provider, opened=False):
            guard.breaker.close_by_hand(self._clock.now())
            self._tell_by_hand(guard)

    def reset(self, deployment_id: str | None = None, *, provider: str | None = None) -> None:
        """Make the breakers of the same choice as new."""
        for guard in self._moved(deployment_id, provider, opened=False):
            guard.breaker.reset(self._clock.now())
            self._tell_by_hand(guard)

    def status(self) -> list[CircuitBreakerStatus]:
        """Describe every breaker that is on, by deployment."""
        now = self._clock.now()
        known = sorted(self._guards.values(), key=lambda one: one.deployment_id)
        return [status_of(guard, now) for guard in known if self.watch(guard.provider)]

    def providers(self) -> dict[str, ProviderBreakers]:
        """Describe them rolled up, by provider."""
        by_provider: dict[str, list[CircuitBreakerStatus]] = {}
        for one in self.status():
            by_provider.setdefault(one.provider, []).append(one)
        return {provider: rolled_up(provider, all_) for provider, all_ in sorted(by_provider.items())}

    def _tell_by_hand(self, guard: DeploymentBreaker) -> None:
        if self._shared is not None:
            self._shared.by_hand(guard)

    def _config_of(self, provider: str) -> CircuitBreakerConfig:
        return self._of_provider.get(provider, self._config)

    def _moved(self, deployment_id: str | None, provider: str | None, *, opened: bool) -> list[DeploymentBreaker]:
        """Give the breakers that a hand moves, and remember it for those that come later."""
        guards = self._chosen(deployment_id, provider)
        if deployment_id is None:
            if provider is None:
                self._all_opened = opened
                self._opened.clear()
            else:
                self._opened[provider] = opened
        return guards

    def _chosen(self, deployment_id: str | None, provider: str | None) -> list[DeploymentBreaker]:
        guards = list(self._guards.values())
        if deployment_id is not None:
            guards = [guard for guard in guards if guard.deployment_id == deployment_id]
            if not guards:
                raise _unknown("deployment", deployment_id, self._guards)
        if provider is not None and not any(guard.provider == provider for guard in guards):
            if deployment_id is not None:
                own = guards[0].provider
                raise NotFound(f"provider: {deployment_id!r} is a deployment of {own!r}", param="provider")
            raise _unknown("provider", provider, [guard.provider for guard in self._guards.values()])
        return [guard for guard in guards if provider is None or guard.provider == provider]


def _checked(config: object) -> CircuitBreakerConfig:
    if not isinstance(config, CircuitBreakerConfig):
        raise ConfigurationError(
            f"config: expected a CircuitBreakerConfig, got a {type(config).__name__}", param="config"
        )
    return config


def _unknown(what: str, name: str, known: Iterable[str]) -> NotFound:
    near = nearest(name, list(known))
    return NotFound(
        f"{what}: there is no breaker of {what} {name!r}" + (f"; did you mean {near!r}?" if near else ""), param=what
    )
