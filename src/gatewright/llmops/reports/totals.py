"""Sums as the numbers that people read: dollars, milliseconds, shares; all of them defined where there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gatewright.storage.sql.sketches import mean, quantiles
from gatewright.storage.sql.summing import Point, Series, Sums

__all__ = [
    "average",
    "breakdown",
    "chart",
    "dollars",
    "durations",
    "moment",
    "per_thousand",
    "ratio",
    "total",
]

NONE = "(none)"
"""What the operations of no tenant, agent, model or provider are called."""
PICO = 10**12
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def dollars(picodollars: int) -> float:
    """Give an amount in US dollars: the float nearest to the exact one."""
    return picodollars / PICO


def ratio(part: float, whole: float) -> float:
    """Give a part of a whole; 0.0 of nothing."""
    return part / whole if whole else 0.0


def per_thousand(cost: int, tokens: int) -> float:
    """Give the dollars a thousand tokens cost on average."""
    return ratio(dollars(cost * 1000), tokens)


def moment(second: int) -> str:
    """Give a second since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def total(sums: Mapping[Series, Sums], wanted: Callable[[Series], bool] = lambda _: True) -> Sums:
    """Add up the series that are wanted."""
    return sum((one for series, one in sums.items() if wanted(series)), Sums())


def breakdown(sums: Mapping[Series, Sums], part: str) -> dict[str, dict[str, Any]]:
    """Give the numbers of each model, provider, tenant … by its name, the ones that cost the most first."""
    groups: dict[str, dict[Series, Sums]] = {}
    for series, one in sums.items():
        groups.setdefault(_label(getattr(series, part)), {})[series] = one
    lines = {name: _line(group) for name, group in groups.items()}
    return dict(sorted(lines.items(), key=lambda item: (-item[1]["cost_usd"], -item[1]["operations"], item[0])))


def _label(name: str | None) -> str:
    """Give a name as a report shows it: never two the same, whatever somebody calls himself."""
    if name is None:
        return NONE
    return repr(name) if not name or name[0] in "('\"" else name


def _line(sums: Mapping[Series, Sums]) -> dict[str, Any]:
    whole = total(sums)
    tokens = whole.prompt_tokens + whole.completion_tokens
    successes = total(sums, lambda series: series.status == "success").calls
    cancelled = total(sums, lambda series: series.status == "cancelled").calls
    return {
        "operations": whole.calls,
        "tokens": tokens,
        "prompt_tokens": whole.prompt_tokens,
        "completion_tokens": whole.completion_tokens,
        "cost_usd": dollars(whole.cost),
        "cost_per_1k_tokens": per_thousand(whole.cost, tokens),
        "unpriced_operations": whole.unpriced,
        "average_latency_ms": ratio(whole.latency / 1000, whole.calls),
        "success_rate": ratio(successes, whole.calls),
        "error_rate": ratio(whole.calls - successes - cancelled, whole.calls),
    }


def durations(sketches: Sequence[bytes], name: str) -> dict[str, float]:
    """Give the quantiles of some sketches in milliseconds."""
    found = quantiles(sketches, *SHARES.values()) or [0.0] * len(SHARES)
    return {f"{share}_{name}_ms": value / 1000 for share, value in zip(SHARES, found, strict=True)}


def average(sketches: Sequence[bytes]) -> float:
    """Give the mean of some sketches in milliseconds."""
    return mean(sketches) / 1000


def chart(points: Sequence[Point], start: int, end: int, seconds: int) -> list[dict[str, Any]]:
    """Give a line for each piece of the time, those without an operation too."""
    known = {point.start: point for point in points}
    first = start // seconds * seconds
    return [_dot(known.get(at) or Point(at, *[0] * 8)) for at in range(first, end, seconds)]


def _dot(point: Point) -> dict[str, Any]:
    return {
        "start": moment(point.start),
        "operations": point.calls,
        "errors": point.calls - point.successes - point.cancelled,
        "tokens": point.prompt_tokens + point.completion_tokens,
        "cost_usd": dollars(point.cost),
        "cache_hits": point.cached,
        "average_latency_ms": ratio(point.latency / 1000, point.calls),
    }
