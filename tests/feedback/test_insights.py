"""From counts and groups to insights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatewright.feedback.grouping import Group, Said
from gatewright.feedback.insights import Grouping, Mean, Tally, Themes, described
from gatewright.feedback.types import FeedbackStatus, FeedbackType

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def rated(period: int, total: float, count: int, status: str = "pending") -> Tally:
    rating = Mean(total, count)
    return Tally(type=FeedbackType.RATING, status=FeedbackStatus(status), count=count, rating=rating, period=period)


def group(text: str, count: int, recent: int, earlier: int) -> Group:
    return Group(said=(Said(text=text, count=count, recent=recent, earlier=earlier, feedback_id=f"fb_{text}"),))


def insights(*periods: Tally, groups: tuple[Group, ...] = (), **more: Any) -> dict[str, Any]:
    themes = {FeedbackType.CORRECTION: Themes(groups=groups, looked_at=len(groups), different=9)}
    given = {"models": (), "versions": (), "limit": 10, **more}
    return described(
        tenant_id="acme",
        now=NOW,
        period=WEEK,
        periods=periods,
        themes=themes,
        grouping=Grouping(by="words"),
        **given,
    )


def test_without_feedback_there_is_no_average() -> None:
    found = insights()
    assert (found["average_rating"], found["rating_count"], found["total_feedback"]) == (None, 0, 0)
    assert found["rating_trend"] == {"direction": None, "change": None, "periods": []}
    assert found["common_corrections"] == found["error_patterns"] == []


@pytest.mark.parametrize(("now", "direction"), [(8.0, "up"), (6.0, "steady"), (4.0, "down")])
def test_the_trend_is_of_the_last_two_periods(now: float, direction: str) -> None:
    found = insights(rated(0, now, 2), rated(1, 6.0, 2), rated(8, 5.0, 1))
    trend = found["rating_trend"]
    assert (trend["direction"], trend["change"]) == (direction, now / 2 - 3)
    assert [(one["start"], one["average_rating"]) for one in trend["periods"]] == [
        ("2026-11-12T12:00:00+00:00", 3.0),
        ("2026-11-19T12:00:00+00:00", now / 2),
    ]
    assert found["average_rating"] == round((now + 6 + 5) / 5, 3)


def test_what_was_ignored_counts_nowhere_but_there() -> None:
    found = insights(rated(0, 5.0, 1), rated(0, 1.0, 1, "ignored"))
    assert (found["average_rating"], found["total_feedback"], found["by_type"]) == (5.0, 1, {"rating": 1})
    assert found["by_status"] == {"ignored": 1, "pending": 1}


def test_names_are_told_apart_in_the_given_order() -> None:
    def of(name: str, status: str, total: float) -> Tally:
        rating = Mean(total, 1)
        return Tally(type=FeedbackType.RATING, status=FeedbackStatus(status), count=1, rating=rating, name=name)

    models = [of("b", "pending", 5), of("b", "applied", 2), of("a", "pending", 1), of("c", "ignored", 1)]
    by_model = insights(models=models)["by_model"]
    assert [(name, one["average_rating"]) for name, one in by_model.items()] == [("b", 3.5), ("a", 1.0)]


def test_changes_say_what_is_new_more_less_and_gone() -> None:
    groups = (
        group("new", 3, 3, 0),
        group("more", 9, 5, 2),
        group("less", 8, 1, 4),
        group("gone", 5, 0, 5),
        group("same", 4, 2, 2),
        group("back", 4, 2, 0),
    )
    found = insights(rated(0, 5.0, 1), rated(1, 3.0, 1), groups=groups)
    changes = found["changes"]
    assert {name: [one["text"] for one in changes[name]] for name in ("new", "more", "less", "gone")} == {
        "new": ["new"],
        "more": ["more"],
        "less": ["less"],
        "gone": ["gone"],
    }
    assert changes["average_rating"] == {"this_period": 5.0, "last_period": 3.0}
    assert (changes["from"], changes["to"]) == ("2026-11-19T12:00:00+00:00", "2026-11-26T12:00:00+00:00")
    assert len(insights(groups=groups, limit=2)["common_corrections"]) == 2
    assert found["common_corrections"][0] == {
        "text": "new",
        "count": 3,
        "examples": ["new"],
        "feedback_ids": ["fb_new"],
        "this_period": 3,
        "last_period": 0,
    }
    assert (found["grouping"]["texts"], found["grouping"]["of"]) == (6, 9)
