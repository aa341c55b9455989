"""Sums out of the rollups: by series, by piece of time, and the sketches of durations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatewright.storage.sql.reading import Snapshot, Values
from gatewright.storage.sql.rollups import GRAINS
from gatewright.types.operations import OPERATION_TYPES, STATUSES

__all__ = ["Point", "Series", "Span", "Sums", "Whose", "points", "sketches", "sums_by_series"]


class Whose(NamedTuple):
    """A tenant's operations, an agent's; None is everybody's."""

    tenant: str | None = None
    agent: str | None = None


class Span(NamedTuple):
    """From one second since 1970 to before another, of one grain."""

    grain: str
    start: int
    end: int


class Series(NamedTuple):
    """Whose operations, at which model, of which type, and how they ended; None is "none"."""

    tenant: str | None
    agent: str | None
    model: str | None
    provider: str | None
    type: str
    status: str


class Sums(NamedTuple):
    """Money is in 10⁻¹² US dollars, durations in microseconds."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    unpriced: int = 0
    cached: int = 0
    shared: int = 0
    saved: int = 0
    retries: int = 0
    fallbacks: int = 0
    latency: int = 0
    queued: int = 0
    overhead: int = 0
    saved_shared: int = 0

    def __add__(self, other: tuple[object, ...]) -> Sums:  # type: ignore[override]
        return Sums(*(mine + others for mine, others in zip(self, other, strict=True)))  # type: ignore[operator]


class Point(NamedTuple):
    """What was in one piece of time, which begins at a second since 1970."""

    start: int
    calls: int
    successes: int
    cancelled: int
    prompt_tokens: int
    completion_tokens: int
    cost: int
    cached: int
    latency: int


# SQLite reads a row's columns from the left as far as it must: what lies behind the sketches is read where it counts.
_SUMMED = ", ".join(
    f"SUM(CASE WHEN r.shared > 0 THEN r.{name} ELSE 0 END)" if name == "saved_shared" else f"SUM(r.{name})"
    for name in Sums._fields
)


def sums_by_series(snapshot: Snapshot, whose: Whose, spans: Sequence[Span]) -> dict[Series, Sums]:
    """Add up what there is, by series."""
    found: dict[int, Sums] = {}
    for span in spans:
        where, values = _where(whose, span)
        statement = f"SELECT r.series, {_SUMMED} {_from(span)} WHERE {where} GROUP BY r.series"
        for series, *sums in snapshot.rows(statement, values):
            added = Sums(*map(int, sums))
            found[series] = found[series] + added if series in found else added
    names = _series(snapshot, whose) if found else {}
    return {names[number]: sums for number, sums in found.items()}


def points(snapshot: Snapshot, whose: Whose, spans: Sequence[Span], seconds: int) -> list[Point]:
    """Add up what there is in each piece of so many seconds; those without an operation are left out."""
    found: dict[int, list[int]] = {}
    for span in spans:
        where, values = _where(whose, span)
        statement = (
            f"SELECT r.start - r.start % {seconds}, SUM(r.calls), SUM(CASE WHEN s.status = 0 THEN r.calls ELSE 0 END), "
            f"SUM(CASE WHEN s.status = {_CANCELLED} THEN r.calls ELSE 0 END), SUM(r.prompt_tokens), "
            "SUM(r.completion_tokens), SUM(r.cost), SUM(r.cached), SUM(r.latency) "
            f"{_from(span)} WHERE {where} GROUP BY 1"
        )
        for start, *sums in snapshot.rows(statement, values):
            known = found.setdefault(int(start), [0] * 8)
            found[int(start)] = [one + int(more) for one, more in zip(known, sums, strict=True)]
    return [Point(start, *sums) for start, sums in sorted(found.items())]


def sketches(snapshot: Snapshot, whose: Whose, spans: Sequence[Span]) -> tuple[list[bytes], list[bytes]]:
    """Give the sketches of the latencies and of the times to the first token."""
    latencies: list[bytes] = []
    first_tokens: list[bytes] = []
    for span in spans:
        where, values = _where(whose, span)
        for one, other in snapshot.rows(f"SELECT r.latencies, r.first_tokens {_from(span)} WHERE {where}", values):
            if one is not None:
                latencies.append(one)
            if other is not None:
                first_tokens.append(other)
    return latencies, first_tokens


_CANCELLED = STATUSES.index("cancelled")


def _from(span: Span) -> str:
    assert span.grain in GRAINS
    return f"FROM series s JOIN rollups_{span.grain} r ON r.series = s.id"


def _where(whose: Whose, span: Span) -> tuple[str, Values]:
    conditions, values = _conditions(whose)
    return " AND ".join([*conditions, "r.start >= ?", "r.start < ?"]), (*values, span.start, span.end)


def _conditions(whose: Whose) -> tuple[list[str], list[str]]:
    conditions: list[str] = []
    values: list[str] = []
    for column, name in zip(("tenant", "agent"), whose, strict=True):
        if name is not None:
            conditions.append(f"s.{column} = (SELECT id FROM names WHERE name = ?)")
            values.append(name.replace("\0", ""))
    return conditions, values


def _series(snapshot: Snapshot, whose: Whose) -> dict[int, Series]:
    conditions, values = _conditions(whose)
    parts = ("tenant", "agent", "model", "provider")
    joins = " ".join(f"LEFT JOIN names n_{part} ON n_{part}.id = s.{part}" for part in parts)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    named = ", ".join(f"n_{part}.name" for part in parts)
    rows = snapshot.rows(f"SELECT s.id, {named}, s.type, s.status FROM series s {joins}{where}", tuple(values))
    return {
        number: Series(tenant, agent, model, provider, OPERATION_TYPES[kind], STATUSES[status])
        for number, tenant, agent, model, provider, kind, status in rows
    }
