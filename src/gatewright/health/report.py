"""How health is written down: as plain data, in the units that the names say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from gatewright.health.faults import is_fault, origin, wording
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

    @property
    def passed(self) -> bool | None:
        """Whether the deployment did well; None where what failed was not its fault."""
        return True if self.error is None else False if is_fault(origin(self.error)) else None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one deployment."""

    deployment_id: str
    provider: str
    traffic: Traffic
    breaker: str | None
    checked: Checked | None
    waiting: Collection[object]


def described(
    status: Status, traffic: Summary, breaker: str | None, waiting: int, checked: Checked | None, now: float
) -> dict[str, Any]:
    """Write down the health of a deployment or a provider; `response_time_ms` is the median of whole answers."""
    latencies = dict(zip(SHARES, percentiles(traffic.latencies, *SHARES.values()), strict=True))
    first_chunks = dict(zip(SHARES, percentiles(traffic.first_chunks, *SHARES.values()), strict=True))
    last = traffic.last_fault
    written: dict[str, Any] = {
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
        "waiting": waiting,
    }
    if checked is not None:
        written["last_check"] = {
            "passed": checked.passed,
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
