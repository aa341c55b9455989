"""The rules by which something is healthy, degraded, unhealthy, or unknown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from gatewright.health.config import HealthConfig
from gatewright.health.traffic import Summary

__all__ = ["Status", "of_all", "of_deployment", "of_provider"]

Status = Literal["healthy", "degraded", "unhealthy", "unknown"]


def of_deployment(traffic: Summary, breaker: str | None, checked: bool | None, config: HealthConfig) -> Status:
    """Judge one deployment by its window, its breaker's state and its last active check (None: there was none).

    Unhealthy: its breaker is open, or too few of `minimum_calls` or more attempts succeeded. Degraded: its breaker
    is half open, or fewer succeeded than should. Unknown: nothing was asked of it, by nobody. A check decides only
    where there was no traffic.
    """
    if breaker == "open":
        return "unhealthy"
    status = _by_rate(traffic, config)
    if status == "unknown" and checked is not None:
        status = "healthy" if checked else "unhealthy"
    return "degraded" if breaker == "half_open" and status in ("healthy", "unknown") else status


def of_provider(traffic: Summary, deployments: Collection[Status], config: HealthConfig) -> Status:
    """Judge a provider: by the traffic of all its deployments, and never better than they are together."""
    together = of_all(deployments)
    by_rate = _by_rate(traffic, config)
    return by_rate if _WORSE[by_rate] > _WORSE[together] else together


def of_all(parts: Collection[Status]) -> Status:
    """Judge a whole by its parts: unhealthy where all that is known of is, degraded where anything is not healthy."""
    known = [status for status in parts if status != "unknown"]
    if not known:
        return "unknown"
    if all(status == "unhealthy" for status in known):
        return "unhealthy"
    return "healthy" if all(status == "healthy" for status in known) else "degraded"


_WORSE: dict[Status, int] = {"unknown": 0, "healthy": 1, "degraded": 2, "unhealthy": 3}


def _by_rate(traffic: Summary, config: HealthConfig) -> Status:
    rate = traffic.success_rate
    if rate is None:
        return "unknown"
    if rate < config.unhealthy_below and traffic.total >= config.minimum_calls:
        return "unhealthy"
    return "degraded" if rate < config.degraded_below else "healthy"
