"""How it went: how many operations, how fast, how well."""

from __future__ import annotations

from typing import Any

from gatewright.llmops.reports.totals import average, breakdown, chart, dollars, durations, ratio, total
from gatewright.llmops.reports.window import Window, step_of
from gatewright.storage.sql.reading import Snapshot
from gatewright.storage.sql.rollups import GRAINS
from gatewright.storage.sql.summing import Whose, points, sketches, sums_by_series
from gatewright.types.operations import STATUSES

__all__ = ["metrics", "series"]

FAILED = frozenset(STATUSES) - {"success", "cancelled"}


def metrics(snapshot: Snapshot, whose: Whose, window: Window) -> dict[str, Any]:
    """Give the numbers of a window."""
    spans = window.spans()
    sums = sums_by_series(snapshot, whose, spans)
    latencies, first_tokens = sketches(snapshot, whose, spans)
    whole = total(sums)
    calls = whole.calls
    successes = total(sums, lambda one: one.status == "success").calls
    failures = total(sums, lambda one: one.status in FAILED).calls
    found: dict[str, Any] = {
        "total_operations": calls,
        "successful_operations": successes,
        "failed_operations": failures,
        "cancelled_operations": calls - successes - failures,
        "success_rate": ratio(successes, calls),
        "error_rate": ratio(failures, calls),
        "total_tokens": whole.prompt_tokens + whole.completion_tokens,
        "prompt_tokens": whole.prompt_tokens,
        "completion_tokens": whole.completion_tokens,
        "cached_prompt_tokens": whole.cached_tokens,
        "reasoning_tokens": whole.reasoning_tokens,
        "total_cost_usd": dollars(whole.cost),
        "unpriced_operations": whole.unpriced,
        "average_latency_ms": ratio(whole.latency / 1000, calls),
        **durations(latencies, "latency"),
        "average_time_to_first_token_ms": average(first_tokens),
        **durations(first_tokens, "time_to_first_token"),
        "average_queue_ms": ratio(whole.queued / 1000, calls),
        "average_overhead_ms": ratio(whole.overhead / 1000, calls),
        "cache_hits": whole.cached,
        "cache_hit_rate": ratio(whole.cached, successes),
        "deduplicated_operations": whole.shared,
        "deduplication_rate": ratio(whole.shared, successes),
        "saved_usd": dollars(whole.saved),
        "total_retries": whole.retries,
        "total_fallbacks": whole.fallbacks,
    }
    parts = ("model", "provider", "type", "status", "tenant", "agent")
    return found | {f"by_{part}": breakdown(sums, part) for part in parts} | series(snapshot, whose, window, None)


def series(snapshot: Snapshot, whose: Whose, window: Window, step: str | None) -> dict[str, Any]:
    """Give a line for each piece of a window, for charts."""
    step = step_of(step, window)
    found = points(snapshot, whose, window.spans(step), GRAINS[step])
    return {"step": step, "time_series": chart(found, window.start, window.end, GRAINS[step])}
