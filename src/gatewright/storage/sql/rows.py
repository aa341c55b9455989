"""Records as rows: the columns that are written, and what goes into each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from gatewright.storage.sql.fields import Column, Columns
from gatewright.storage.sql.names import Numbers
from gatewright.types.records import LateAttempt, OperationRecord

__all__ = [
    "COLUMNS",
    "ROLLUP_COLUMNS",
    "Names",
    "Row",
    "attempt_columns",
    "content_columns",
    "operation_columns",
]

Row = tuple[Any, ...]
Names = Numbers[str | None, int | None]

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


def operation_columns(fields: Columns, series: Column, number: Names) -> Columns:
    """Give the columns of operations; zeros that say nothing are left out, and columns that none has anything in."""
    columns: dict[str, Column] = {}
    for name in COLUMNS["operations"]:
        values = series if name == "series" else fields[name]
        stored = _STORED.get(name)
        if any(values) or (stored not in _FALSE_IS_NOTHING and values.count(None) < len(values)):
            columns[name] = values if stored is None else stored(values, number)
    return columns


def _numbers(names: Column, number: Names) -> Column:
    return [*map(number.__getitem__, names)]


def _texts(texts: Column, number: Names) -> Column:
    return texts if "\0" not in "".join(filter(None, texts)) else [*map(_plain, texts)]


def _counts(counts: Column, number: Names) -> Column:
    return [count or None for count in counts]


def _flags(flags: Column, number: Names) -> Column:
    return [1 if flag else None for flag in flags]


def _tags(lists: Column, number: Names) -> Column:
    return [number[_json(tags).decode()] if tags else None for tags in lists]


def _verdicts(lists: Column, number: Names) -> Column:
    return [_json(verdicts).decode() if verdicts else None for verdicts in lists]


_STORED: dict[str, Callable[[Column, Names], Column]] = {
    **dict.fromkeys(("user", "session"), _texts),
    **dict.fromkeys(("key", "requested_model", "answered_model", "deployment", "lane"), _numbers),
    **dict.fromkeys(("price_source", "cache", "error"), _numbers),
    **dict.fromkeys(("streamed", "estimated"), _flags),
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens"), _counts),
    **dict.fromkeys(("reasoning_tokens", "queued", "retries", "fallbacks", "saved"), _counts),
    "tags": _tags,
    "guards": _verdicts,
}
"""How fields are stored that are not stored as they are."""
_FALSE_IS_NOTHING = (_counts, _flags, _tags, _verdicts)


def attempt_columns(records: Iterable[OperationRecord], late: Iterable[LateAttempt], number: Names) -> Columns:
    """Give the columns of attempts: those of the operations, the first one's number 1, and those that ended late."""
    made = [
        (record.id, place, attempt)
        for record in records
        if record.attempts
        for place, attempt in enumerate(record.attempts, 1)
    ]
    made += [(one.operation, one.number, one.attempt) for one in late]
    return _columns(
        "attempts",
        [
            (id_, place, number[one.deployment], number[one.provider], one.began, one.lasted, number[one.error])
            for id_, place, one in made
        ],
    )


def content_columns(records: Iterable[OperationRecord]) -> Columns:
    """Give the columns of what was asked and answered."""
    told = [one for one in records if one.request is not None or one.answer is not None]
    return _columns("contents", [(one.id, _plain(one.request), _plain(one.answer)) for one in told])


def _columns(table: str, rows: Sequence[Row]) -> Columns:
    return dict(zip(COLUMNS[table], zip(*rows, strict=True), strict=True)) if rows else {}


def _plain(text: str | None) -> str | None:
    """Leave out NULs, which PostgreSQL's texts cannot have."""
    return text.replace("\0", "") if text is not None and "\0" in text else text
