"""The operations themselves, one by one, with names in place of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from gatewright.storage.sql.reading import Snapshot, Values
from gatewright.types.operations import OPERATION_TYPES, STATUSES

__all__ = ["Chosen", "Operation", "count_of", "operations"]


class Chosen(NamedTuple):
    """Which operations: those that began at or after a second since 1970, of these only; None is any."""

    since: int = 0
    tenant: str | None = None
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    type: str | None = None
    status: str | None = None


class Operation(msgspec.Struct, kw_only=True, frozen=True):
    """One operation; `started_at` is milliseconds since 1970, money in 10⁻¹² US dollars, durations in microseconds."""

    id: str
    started_at: int
    type: str
    status: str
    tenant: str | None
    agent: str | None
    user: str | None
    session: str | None
    key: str | None
    tags: list[str]
    model: str | None
    requested_model: str | None
    answered_model: str | None
    provider: str | None
    deployment: str | None
    lane: str | None
    streamed: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    tokens_estimated: bool
    cost: int | None
    price_source: str | None
    latency: int | None
    first_token: int | None
    queued: int
    overhead: int | None
    retries: int
    fallbacks: int
    cache: str | None
    saved: int
    error: str | None
    guards: str | None


_NAMED = ("key", "tags", "requested_model", "answered_model", "deployment", "lane", "price_source", "cache", "error")
_OWN = (
    *("id", "started_at", "user", "session", "streamed", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cache_write_tokens", "reasoning_tokens", "estimated", "cost", "latency", "first_token", "queued", "overhead"),
    *("retries", "fallbacks", "saved", "guards"),
)
_SERIES = ("tenant", "agent", "model", "provider")
_ZERO = frozenset(
    {"prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "queued"}
    | {"retries", "fallbacks", "saved"}
)


def operations(snapshot: Snapshot, chosen: Chosen) -> Iterator[Operation]:
    """Give operations in the order of time, a part of them in memory at a time."""
    columns = [f'o."{name}"' for name in _OWN] + [f"n_{name}.name" for name in (*_NAMED, *_SERIES)]
    joins = [f'LEFT JOIN names n_{name} ON n_{name}.id = o."{name}"' for name in _NAMED]
    joins += [f"LEFT JOIN names n_{name} ON n_{name}.id = s.{name}" for name in _SERIES]
    where, values = _where(chosen)
    statement = (
        f"SELECT {', '.join(columns)}, s.type, s.status FROM operations o JOIN series s ON s.id = o.series "
        f"{' '.join(joins)} WHERE {where} ORDER BY o.id"
    )
    names = (*_OWN, *_NAMED, *_SERIES, "type", "status")
    for row in snapshot.stream(statement, values):
        yield _operation(dict(zip(names, row, strict=True)))


def count_of(snapshot: Snapshot, chosen: Chosen) -> int:
    """Count them."""
    where, values = _where(chosen)
    statement = f"SELECT COUNT(*) FROM operations o JOIN series s ON s.id = o.series WHERE {where}"
    return snapshot.rows(statement, values)[0][0]


def _operation(row: dict[str, Any]) -> Operation:
    row["id"] = f"req_{bytes(row['id']).hex()}"
    row["type"], row["status"] = OPERATION_TYPES[row["type"]], STATUSES[row["status"]]
    row["tags"] = msgspec.json.decode(row["tags"], type=list[str]) if row["tags"] else []
    row["streamed"], row["tokens_estimated"] = bool(row["streamed"]), bool(row.pop("estimated"))
    for name in _ZERO:
        row[name] = row[name] or 0
    return Operation(**row)


def _where(chosen: Chosen) -> tuple[str, Values]:
    """Choose by the series, and the time by the ids, in whose order the rows lie."""
    conditions, values = ["o.id >= ?"], [max(0, chosen.since).to_bytes(4, "big")]
    codes = {"type": OPERATION_TYPES, "status": STATUSES}
    given = {name: value for name, value in chosen._asdict().items() if name != "since" and value is not None}
    for name, value in given.items():
        if name in codes:
            conditions.append(f"s.{name} = {codes[name].index(value)}")
        else:
            conditions.append(f"s.{name} = (SELECT id FROM names WHERE name = ?)")
            values.append(value.replace("\0", ""))
    return " AND ".join(conditions), tuple(values)
