"""From when on a provider counts as degraded or unhealthy, and whether idle ones are checked."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gatewright.types.configuration import Config

__all__ = ["ActiveCheckConfig", "HealthConfig"]


class HealthConfig(Config):
    """All times are seconds; rates are shares of the attempts that say something of the provider.

    Health is judged by the attempts of the last `window`. Below `degraded_below` of successes a deployment is
    degraded; below `unhealthy_below`, once there were `minimum_calls`, it is unhealthy. A store that does not answer
    its check within `store_timeout` is unhealthy.
    """

    window: float = Field(default=300.0, gt=0)
    degraded_below: float = Field(default=0.95, ge=0, le=1)
    unhealthy_below: float = Field(default=0.5, ge=0, le=1)
    minimum_calls: int = Field(default=5, ge=1)
    store_timeout: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.unhealthy_below > self.degraded_below:
            raise ValueError("unhealthy_below: expected at most degraded_below")
        return self


class ActiveCheckConfig(Config):
    """Whether deployments that nobody asks, or that a breaker keeps closed, are asked now and then; in seconds.

    Every `interval`, later by a random part of `jitter` of it, each of them gets one check of at most `timeout`. What
    an idle deployment's check said counts for as long as the health's window, so the interval should be shorter.
    A generation of one token is a call that costs money: checks are off unless switched on.
    """

    enabled: bool = False
    interval: float = Field(default=60.0, gt=0)
    jitter: float = Field(default=0.2, ge=0, lt=1)
    timeout: float = Field(default=10.0, gt=0)
