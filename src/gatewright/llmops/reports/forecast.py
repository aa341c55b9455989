"""What the days to come will cost, if they are like those before: by the mean of each weekday, within bounds.

A day is expected to cost what its weekday cost on average, or the average day where fewer than two weeks are known.
The bounds are those of nine cases in ten if the days' deviations are independent of each other and normal: 1.645
standard deviations of their sum. It follows no trend: twice the traffic next week is not foreseen, and widens the
bounds of the week after.
"""

from __future__ import annotations

import calendar
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["forecast"]

DAY = 86400
LEAST_DAYS = 7
BY_WEEKDAY = 14
NINE_IN_TEN = 1.645


def forecast(days: Mapping[int, float], now: int) -> dict[str, Any] | None:
    """Give what the next 30 days and this month will cost; None where fewer than seven whole days are known.

    `days` are the dollars of each day by the second at which it begins (UTC), today's so far among them; days
    without any are there with 0.0.
    """
    today = now // DAY * DAY
    past = {day: cost for day, cost in days.items() if day < today}
    if len(past) < LEAST_DAYS or not any(past.values()):
        return None
    profile = _Profile(past)
    begun = datetime.fromtimestamp(today, UTC)
    left = calendar.monthrange(begun.year, begun.month)[1] - begun.day
    spent = sum(cost for day, cost in days.items() if day > today - begun.day * DAY)
    today_left = profile.expected([today]) * (1 - (now - today) / DAY)
    rest = [today + place * DAY for place in range(1, left + 1)]
    month = profile.expected(rest)
    return {
        "method": "mean of each weekday" if profile.by_weekday else "mean of the days",
        "days_used": len(past),
        "per_day_usd": statistics.fmean(past.values()),
        "next_30_days_usd": profile.between([today + place * DAY for place in range(1, 31)]),
        "this_month_usd": _interval(spent + today_left + month, profile.margin(len(rest) + 1), spent),
    }


class _Profile:
    """What a day costs, by its weekday where that is known well enough, and how far days are from that."""

    def __init__(self, past: Mapping[int, float]) -> None:
        self.by_weekday = len(past) >= BY_WEEKDAY
        groups: dict[int, list[float]] = {}
        for day, cost in past.items():
            groups.setdefault(self._group(day), []).append(cost)
        self._means = {group: statistics.fmean(costs) for group, costs in groups.items()}
        squares = sum((cost - self._means[self._group(day)]) ** 2 for day, cost in past.items())
        self._deviation = math.sqrt(squares / max(1, len(past) - len(groups)))

    def expected(self, days: Sequence[int]) -> float:
        return sum(self._means[self._group(day)] for day in days)

    def margin(self, days: int) -> float:
        return NINE_IN_TEN * self._deviation * math.sqrt(days)

    def between(self, days: Sequence[int]) -> dict[str, float]:
        return _interval(self.expected(days), self.margin(len(days)), 0.0)

    def _group(self, day: int) -> int:
        return datetime.fromtimestamp(day, UTC).weekday() if self.by_weekday else 0


def _interval(expected: float, margin: float, least: float) -> dict[str, float]:
    return {"expected": expected, "low": max(least, expected - margin), "high": expected + margin}
