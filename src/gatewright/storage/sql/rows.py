"""Records as rows: the columns that are written, and what goes into each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.storage.sql.names import Names
from gatewright.types.records import OperationRecord

__all__ = [
    "COLUMNS",
    "ROLLUP_COLUMNS",
    "Row",
    "SeriesKey",
    "attempt_rows",
    "content_row",
    "operation_row",
    "series_key",
]

Row = tuple[Any, ...]
SeriesKey = tuple[int, int, int, int, int, int]

_COLUMNS = {
    "operations": (
        "id series started_at user session key tags requested_model answered_model deployment lane streamed "
        "prompt_tokens completion_tokens cached_tokens cache_write_tokens reasoning_tokens estimated cost price_source "
        "latency first_token queued overhead retries fallbacks cache saved error guards"
    ),
    "attempts": "operation number deployment provider began lasted error",
    "contents": "operation request answer",
}
COLUMNS = {table: tuple(columns.split()) for table, columns in _COLUMNS.items()}

_ROLLUP = """
    series start calls prompt_tokens completion_tokens cached_tokens reasoning_tokens cost unpriced cached shared saved
    retries fallbacks latency queued overhead saved_shared latencies first_tokens
"""
ROLLUP_COLUMNS = tuple(_ROLLUP.split())

_json = msgspec.json.Encoder().encode


def series_key(record: OperationRecord, number: Names) -> SeriesKey:
    """Give what the reports tell this operation apart by."""
    return (
        number[record.tenant] or 0,
        number[record.agent] or 0,
        number[record.model] or 0,
        number[record.provider] or 0,
        record.type,
        record.status,
    )


def operation_row(record: OperationRecord, series: int, number: Names) -> Row:
    """Give the row of an operation; zeros that say nothing are left out, as they would take room."""
    user, session = record.user, record.session
    if (user is not None and "\0" in user) or (session is not None and "\0" in session):
        user, session = _plain(user), _plain(session)
    return (
        record.id,
        series,
        record.started_at,
        user,
        session,
        number[record.key],
        number[_json(record.tags).decode()] if record.tags else None,
        number[record.requested_model],
        number[record.answered_model],
        number[record.deployment],
        number[record.lane],
        1 if record.streamed else None,
        record.prompt_tokens or None,
        record.completion_tokens or None,
        record.cached_tokens or None,
        record.cache_write_tokens or None,
        record.reasoning_tokens or None,
        1 if record.estimated else None,
        record.cost,
        number[record.price_source],
        record.latency,
        record.first_token,
        record.queued or None,
        record.overhead,
        record.retries or None,
        record.fallbacks or None,
        number[record.cache],
        record.saved or None,
        number[record.error],
        _json(record.guards).decode() if record.guards else None,
    )


def attempt_rows(record: OperationRecord, number: Names) -> Sequence[Row]:
    """Give the rows of an operation's attempts, the first one's number 1."""
    return [
        (record.id, place, number[one.deployment], number[one.provider], one.began, one.lasted, number[one.error])
        for place, one in enumerate(record.attempts, 1)
    ]


def content_row(record: OperationRecord) -> Row:
    """Give the row of what was asked and answered."""
    return (record.id, _plain(record.request), _plain(record.answer))


def _plain(text: str | None) -> str | None:
    """Leave out NULs, which PostgreSQL's texts cannot have."""
    return text.replace("\0", "") if text is not None and "\0" in text else text
