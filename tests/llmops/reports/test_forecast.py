from __future__ import annotations

import random

import pytest

from gatewright.llmops.reports.forecast import forecast

DAY = 86400
MONDAY = 1_789_948_800  # 2026-09-21 00:00 UTC
NOON = MONDAY + DAY // 2


def days(costs: list[float]) -> dict[int, float]:
    """Give the costs of the days before, the last one is yesterday's."""
    return {MONDAY - (len(costs) - place) * DAY: cost for place, cost in enumerate(costs)}


@pytest.mark.parametrize("costs", [[], [1.0] * 6, [0.0] * 20])
def test_too_little_is_known(costs: list[float]) -> None:
    assert forecast(days(costs), NOON) is None


def test_today_is_no_whole_day() -> None:
    assert forecast({**days([1.0] * 6), MONDAY: 1.0}, NOON) is None


def test_weekdays_are_told_apart_where_two_weeks_are_known() -> None:
    week = [10.0, 10.0, 10.0, 10.0, 10.0, 1.0, 1.0]
    found = forecast(days(week * 3), NOON)
    assert found is not None
    assert found["method"] == "mean of each weekday"
    # From Tuesday on: four weeks, a Tuesday and a Wednesday.
    assert found["next_30_days_usd"] == {"expected": 4 * 52.0 + 20, "low": 4 * 52.0 + 20, "high": 4 * 52.0 + 20}


def test_the_month_is_what_was_spent_the_rest_of_today_and_the_days_left() -> None:
    found = forecast({**days([2.0] * 10), MONDAY: 1.5}, NOON)
    assert found is not None
    # 20 days of September are over, of which ten are known; nine are left.
    assert found["this_month_usd"]["expected"] == pytest.approx(10 * 2.0 + 1.5 + 1.0 + 9 * 2.0)


def test_nine_cases_in_ten_are_within_the_bounds() -> None:
    rng = random.Random(7)
    within = 0
    for _ in range(400):
        costs = [max(0.0, rng.gauss(100, 20)) for _ in range(58)]
        found = forecast(days(costs[:28]), NOON)
        assert found is not None
        bounds = found["next_30_days_usd"]
        within += bounds["low"] <= sum(costs[28:]) <= bounds["high"]
    # The mean that the forecast stands on is not known exactly either: somewhat fewer than nine in ten.
    assert 0.70 <= within / 400 <= 0.95


def test_nothing_is_expected_below_what_was_spent() -> None:
    found = forecast({**days([0.0, 0.0, 90.0, *[0.0] * 10]), MONDAY: 50.0}, NOON)
    assert found is not None
    assert found["next_30_days_usd"]["low"] == 0.0
    assert found["this_month_usd"]["low"] >= 140.0
