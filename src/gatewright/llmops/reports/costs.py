"""What it costs: for whom, at which model, what was saved, and what is to be expected."""

from __future__ import annotations

from typing import Any

from gatewright.llmops.reports.forecast import forecast
from gatewright.llmops.reports.totals import breakdown, dollars, per_thousand, ratio, total
from gatewright.llmops.reports.window import DAY, Window
from gatewright.storage.sql.reading import Snapshot
from gatewright.storage.sql.summing import Span, Whose, points, sums_by_series

__all__ = ["costs"]

LOOKED_BACK = 56
"""Days that a forecast is made of, at the most."""


def costs(snapshot: Snapshot, whose: Whose, window: Window) -> dict[str, Any]:
    """Give the costs of a window, and the forecast that follows from the days before now."""
    sums = sums_by_series(snapshot, whose, window.spans())
    whole = total(sums)
    tokens = whole.prompt_tokens + whole.completion_tokens
    parts = ("model", "provider", "type", "tenant", "agent")
    return {
        "total_operations": whole.calls,
        "total_cost_usd": dollars(whole.cost),
        "total_tokens": tokens,
        "prompt_tokens": whole.prompt_tokens,
        "completion_tokens": whole.completion_tokens,
        "cost_per_1k_tokens": per_thousand(whole.cost, tokens),
        "cost_per_operation_usd": ratio(dollars(whole.cost), whole.calls),
        "unpriced_operations": whole.unpriced,
        "saved_by_cache_usd": dollars(whole.saved - whole.saved_shared),
        "saved_by_deduplication_usd": dollars(whole.saved_shared),
        **{f"by_{part}": breakdown(sums, part) for part in parts},
        "forecast": forecast(_days(snapshot, whose, window.end), window.end),
    }


def _days(snapshot: Snapshot, whose: Whose, now: int) -> dict[int, float]:
    """Give what each day since the first one known cost; a day without an operation cost nothing."""
    today = now // DAY * DAY
    span = Span("day", today - LOOKED_BACK * DAY, now + DAY)
    known = {point.start: dollars(point.cost) for point in points(snapshot, whose, [span], DAY)}
    return {day: known.get(day, 0.0) for day in range(min(known, default=today), today + DAY, DAY)}
