"""Counts and themes of feedback, by the database: nothing here reads more than it gives, whatever there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gatewright.feedback.grouping import Said
from gatewright.feedback.insights import TREND_PERIODS, Mean, Tally
from gatewright.feedback.store import Filter, milliseconds
from gatewright.feedback.types import FeedbackStatus, FeedbackType
from gatewright.storage.sql.schema import feedback as rows
from gatewright.storage.sql.schema import feedback_texts as texts

__all__ = ["MAX_NAMES", "distinct_texts", "tallies_by_name", "tallies_by_period", "texts_said"]

MAX_NAMES = 100
"""So many models and prompt versions, those with the most feedback, are told apart."""
MAX_CHARS = 2000
"""So much of a text is looked at."""
_AT_ONCE = 500
Rows = Sequence[Any]


def tallies_by_period(connection: sa.Connection, chosen: Filter, now: datetime, period: timedelta) -> list[Tally]:
    """Count by type, status and period."""
    ago = (milliseconds(now) - rows.c.created_at) // round(period.total_seconds() * 1000)
    number = sa.case((ago < 0, 0), (ago < TREND_PERIODS, ago), else_=TREND_PERIODS)
    return [_tally(row, period=int(row[2])) for row in _counted(connection, chosen, number)]


def tallies_by_name(connection: sa.Connection, chosen: Filter, column: str) -> list[Tally]:
    """Count by type, status and `column`, which is `model` or `prompt_version`; the most frequent name first."""
    name = rows.c[column]
    frequent = (
        sa.select(name, sa.func.count().label("count"))
        .where(*chosen.clauses(), name.is_not(None))
        .group_by(name)
        .order_by(sa.desc("count"), name)
        .limit(MAX_NAMES)
    )
    names = {row[0]: place for place, row in enumerate(_all(connection, frequent))}
    if not names:
        return []
    counted = _counted(connection, chosen, name, name.in_(list(names)))
    tallies = [_tally(row, name=row[2]) for row in counted]
    return sorted(tallies, key=lambda one: names[one.name or ""])


def texts_said(
    connection: sa.Connection, chosen: Filter, kind: FeedbackType, now: datetime, period: timedelta, limit: int
) -> list[Said]:
    """Give the different texts of one type, the most frequent and then the newest first, with how often each was."""
    created, this = rows.c.created_at, milliseconds(now - period)
    last = milliseconds(now - 2 * period)
    newest = sa.func.max(created)
    query = (
        sa.select(
            sa.func.count(),
            sa.func.sum(sa.case((created >= this, 1), else_=0)),
            sa.func.sum(sa.case(((created < this) & (created >= last), 1), else_=0)),
            sa.func.max(rows.c.id),
        )
        .where(*chosen.clauses(), *_said(kind))
        .group_by(rows.c.text_key)
        .order_by(sa.func.count().desc(), newest.desc(), rows.c.text_key)
        .limit(limit)
    )
    found = _all(connection, query)
    worded = _texts(connection, [row[3] for row in found])
    return [
        Said(text=worded[example], count=count, recent=recent, earlier=earlier, feedback_id=example)
        for count, recent, earlier, example in found
    ]


def distinct_texts(connection: sa.Connection, chosen: Filter, kind: FeedbackType) -> int:
    """Count the different texts of one type."""
    query = sa.select(sa.func.count(sa.distinct(rows.c.text_key))).where(*chosen.clauses(), *_said(kind))
    return connection.execute(query).scalar_one()


def _said(kind: FeedbackType) -> list[sa.ColumnElement[bool]]:
    return [rows.c.type == kind.value, rows.c.status != FeedbackStatus.IGNORED.value, rows.c.text_key.is_not(None)]


def _counted(
    connection: sa.Connection, chosen: Filter, by: sa.ColumnElement[Any], *more: sa.ColumnElement[bool]
) -> Rows:
    place = by.label("place")
    query = (
        sa.select(
            rows.c.type,
            rows.c.status,
            place,
            sa.func.count(),
            sa.func.sum(rows.c.rating),
            sa.func.count(rows.c.rating),
        )
        .where(*chosen.clauses(), *more)
        .group_by(rows.c.type, rows.c.status, sa.text("3"))
    )
    return _all(connection, query)


def _tally(row: Any, **named: Any) -> Tally:
    kind, status, _, count, total, rated = row
    rating = Mean(total or 0.0, rated)
    return Tally(type=FeedbackType(kind), status=FeedbackStatus(status), count=count, rating=rating, **named)


def _all(connection: sa.Connection, query: Any) -> Rows:
    return connection.execute(query).all()


def _texts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(ids), _AT_ONCE):
        content = sa.func.substr(texts.c.content, 1, MAX_CHARS).label("content")
        query = sa.select(texts.c.id, content).where(texts.c.id.in_(ids[start : start + _AT_ONCE]))
        found |= {row.id: row.content for row in _all(connection, query)}
    return found
