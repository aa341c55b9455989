"""How health is written down: plain data, with times in milliseconds where the name says so and in seconds elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.health.faults import wording
from gatewright.health.judgement import Status
from gatewright.health.latencies import percentiles
from gatewright.health.traffic import Summary, Traffic

__all__ = ["Checked", "Known", "described", "in_short"]

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """An active check: when (monotonic), how long it took, and its error where it failed."""

    at: float
    seconds: float
    error: BaseException | None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one deployment."""

    deployment_id: str
    provider: str
    traffic: Traffic
    breaker: str | None
    checked: Checked | None


def described(
    status: Status, traffic: Summary, breaker: str | None, checked: Checked | None, now: float
) -> dict[str, Any]:
    """Write down the health of a deployment or a provider; `response_time_ms` is the median of whole answers."""
    latencies = dict(zip(SHARES, percentiles(traffic.latencies, *SHARES.values()), strict=True))
    first_chunks = dict(zip(SHARES, percentiles(traffic.first_chunks, *SHARES.values()), strict=True))
    last = traffic.last_fault
    written = {
        "status": status,
        "success_rate": None if traffic.success_rate is None else round(traffic.success_rate, 4),
        "last_error": None if last is None else wording(last),
        "last_error_age_seconds": None if traffic.fault_age is None else round(traffic.fault_age, 3),
        "response_time_ms": latencies["p50"],
        "latency_ms": latencies,
        "time_to_first_token_ms": first_chunks,
        "succeeded": traffic.succeeded,
        "failed": traffic.failed,
        "errors": dict(sorted(traffic.errors.items())),
        "circuit_breaker": breaker,
    }
    if checked is not None:
        written["last_check"] = {
            "passed": checked.error is None,
            "error": None if checked.error is None else wording(type(checked.error)),
            "age_seconds": round(now - checked.at, 3),
            "response_time_ms": round(checked.seconds * 1000, 1),
        }
    return written


def in_short(breakers: Sequence[str | None]) -> str | None:
    """Say in one word how breakers are: `closed` or `open` where all are, else `partly_open`; None without any."""
    states = {state for state in breakers if state is not None}
    if not states:
        return None
    return states.pop() if states in ({"closed"}, {"open"}) else "partly_open"
