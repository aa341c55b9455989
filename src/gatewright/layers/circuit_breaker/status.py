"""What breakers look like from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from gatewright.layers.circuit_breaker.breaker import State
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker

__all__ = ["CircuitBreakerStatus", "ProviderBreakers", "rolled_up", "status_of"]


class CircuitBreakerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment's breaker now.

    `failures` are those in a row, `failed` and `succeeded` those in the sliding window, `openings` how often it
    opened lately. `next_probe_in` is seconds; None while it is closed, or open by hand (`by_hand`).
    """

    deployment_id: str
    provider: str
    state: State
    failures: int
    failed: int
    succeeded: int
    openings: int
    next_probe_in: float | None = None
    by_hand: bool = False


class ProviderBreakers(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's breakers rolled up: closed or open where all of them are, `partly_open` otherwise."""

    provider: str
    state: Literal["closed", "partly_open", "open"]
    deployments: int
    open: int
    half_open: int
    next_probe_in: float | None = None


def status_of(guard: DeploymentBreaker, now: float) -> CircuitBreakerStatus:
    """Describe one deployment's breaker."""
    status = guard.breaker.status(now)
    by_hand = status.next_probe_at == math.inf
    probe_at = None if by_hand else status.next_probe_at
    return CircuitBreakerStatus(
        deployment_id=guard.deployment_id,
        provider=guard.provider,
        state=status.state,
        failures=status.failures_in_a_row,
        failed=status.failed,
        succeeded=status.succeeded,
        openings=status.openings,
        next_probe_in=None if probe_at is None else probe_at - now,
        by_hand=by_hand,
    )


def rolled_up(provider: str, all_: Sequence[CircuitBreakerStatus]) -> ProviderBreakers:
    """Describe a provider's breakers together."""
    states = [one.state for one in all_]
    probes = [one.next_probe_in for one in all_ if one.next_probe_in is not None]
    alike = states[0] if len(set(states)) == 1 else None
    return ProviderBreakers(
        provider=provider,
        state=alike if alike in ("closed", "open") else "partly_open",
        deployments=len(all_),
        open=states.count("open"),
        half_open=states.count("half_open"),
        next_probe_in=min(probes, default=None),
    )
