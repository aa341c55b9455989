"""What feedback teaches: from counts by the store and groups of texts to the insights that are handed out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gatewright.feedback.grouping import Group
from gatewright.feedback.types import FeedbackStatus, FeedbackType

__all__ = ["TREND_PERIODS", "Grouping", "Mean", "Tally", "Themes", "described", "merged"]

TREND_PERIODS = 8
STEADY = 0.1
"""A change of the average rating that is smaller says nothing."""


class Mean(msgspec.Struct, frozen=True):
    """A sum of ratings and how many there are."""

    total: float = 0.0
    count: int = 0

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def average(self) -> float | None:
        """The average, to three decimals; None without ratings."""
        return round(self.total / self.count, 3) if self.count else None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How much feedback of one type and status, with one name (a model, a version) or of one period, there is.

    Periods are counted backwards: 0 is the current one; those before the trend's are all its number.
    """

    type: FeedbackType
    status: FeedbackStatus
    count: int
    rating: Mean = Mean()
    name: str | None = None
    period: int = 0


class Themes(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of texts of one type; `looked_at` of its `different` texts were grouped."""

    groups: Sequence[Group] = ()
    looked_at: int = 0
    different: int = 0


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """How texts were grouped, `by` their `meaning` or their `words`, and why not by meaning where that was wanted."""

    by: str
    model: str | None = None
    reason: str | None = None


def described(
    *,
    tenant_id: object,
    now: datetime,
    period: timedelta,
    periods: Sequence[Tally],
    models: Sequence[Tally],
    versions: Sequence[Tally],
    themes: Mapping[FeedbackType, Themes],
    grouping: Grouping,
    limit: int,
) -> dict[str, Any]:
    """Write it all down as plain data; what was ignored is in `by_status` only."""
    counted = [one for one in periods if one.status is not FeedbackStatus.IGNORED]
    rating = merged(counted)
    return {
        "tenant_id": tenant_id,
        "total_feedback": sum(one.count for one in counted),
        "average_rating": rating.average,
        "rating_count": rating.count,
        "rating_trend": _trend(counted, now, period),
        "by_type": _by_type(counted),
        "by_status": _counts((one.status.value, one.count) for one in periods),
        "by_model": _by_name(models),
        "by_prompt_version": _by_name(versions),
        "common_corrections": _listed(themes, FeedbackType.CORRECTION, limit),
        "common_improvements": _listed(themes, FeedbackType.IMPROVEMENT, limit),
        "error_patterns": _listed(themes, FeedbackType.ERROR, limit),
        "changes": _changes(counted, themes, now, period, limit),
        "grouping": {
            "by": grouping.by,
            "model": grouping.model,
            "reason": grouping.reason,
            "texts": sum(one.looked_at for one in themes.values()),
            "of": sum(one.different for one in themes.values()),
        },
    }


def merged(tallies: Iterable[Tally]) -> Mean:
    """Give the ratings of all of them together."""
    return sum((one.rating for one in tallies), Mean())


def _counts(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, count in pairs:
        counts[name] += count
    return dict(sorted(counts.items()))


def _by_type(tallies: Iterable[Tally]) -> dict[str, int]:
    return _counts((one.type.value, one.count) for one in tallies)


def _by_name(tallies: Sequence[Tally]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(one.name for one in tallies if one.name is not None)
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        own = [one for one in tallies if one.name == name and one.status is not FeedbackStatus.IGNORED]
        rating = merged(own)
        count = sum(one.count for one in own)
        if count:
            found[name] = {
                "count": count,
                "average_rating": rating.average,
                "rating_count": rating.count,
                "by_type": _by_type(own),
            }
    return found


def _trend(tallies: Sequence[Tally], now: datetime, period: timedelta) -> dict[str, Any]:
    """Give the average of each period that has ratings, the oldest first, and whether the last two differ."""
    points: list[dict[str, Any]] = []
    for number in range(TREND_PERIODS - 1, -1, -1):
        rating = merged(one for one in tallies if one.period == number)
        if rating.count:
            start = now - period * (number + 1)
            points.append({"start": _written(start), "average_rating": rating.average, "rating_count": rating.count})
    current, earlier = _averages(tallies)
    change = None if current is None or earlier is None else round(current - earlier, 3)
    return {"direction": _direction(change), "change": change, "periods": points}


def _averages(tallies: Sequence[Tally]) -> tuple[float | None, float | None]:
    return tuple(merged(one for one in tallies if one.period == number).average for number in (0, 1))  # type: ignore[return-value]


def _direction(change: float | None) -> str | None:
    if change is None:
        return None
    return "steady" if abs(change) < STEADY else "up" if change > 0 else "down"


def _listed(themes: Mapping[FeedbackType, Themes], kind: FeedbackType, limit: int) -> list[dict[str, Any]]:
    return [_theme(group) for group in themes.get(kind, Themes()).groups[:limit]]


def _theme(group: Group) -> dict[str, Any]:
    return {
        "text": group.text,
        "count": group.count,
        "examples": group.examples,
        "feedback_ids": group.feedback_ids,
        "this_period": group.recent,
        "last_period": group.earlier,
    }


def _changes(
    tallies: Sequence[Tally], themes: Mapping[FeedbackType, Themes], now: datetime, period: timedelta, limit: int
) -> dict[str, Any]:
    """Say what is otherwise in the current period than in the one before."""
    current, earlier = ([one for one in tallies if one.period == number] for number in (0, 1))
    ratings = _averages(tallies)
    groups = [group for kind in themes for group in themes[kind].groups]
    return {
        "from": _written(now - period),
        "to": _written(now),
        "count": {"this_period": sum(one.count for one in current), "last_period": sum(one.count for one in earlier)},
        "average_rating": {"this_period": ratings[0], "last_period": ratings[1]},
        "by_type": {
            kind.value: {"this_period": _of(current, kind), "last_period": _of(earlier, kind)} for kind in FeedbackType
        },
        "new": _moved(groups, lambda group: group.recent > 0 and group.count == group.recent, limit),
        "more": _moved(groups, lambda group: group.recent > group.earlier > 0, limit),
        "less": _moved(groups, lambda group: 0 < group.recent < group.earlier, limit),
        "gone": _moved(groups, lambda group: group.recent == 0 < group.earlier, limit),
    }


def _of(tallies: Iterable[Tally], kind: FeedbackType) -> int:
    return sum(one.count for one in tallies if one.type is kind)


def _moved(groups: Iterable[Group], moved: Callable[[Group], bool], limit: int) -> list[dict[str, Any]]:
    """Give the groups that moved, those first that moved most."""
    found = sorted((one for one in groups if moved(one)), key=lambda one: (-abs(one.recent - one.earlier), one.text))
    return [{"text": one.text, "this_period": one.recent, "last_period": one.earlier} for one in found[:limit]]


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
