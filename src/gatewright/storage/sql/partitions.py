"""The partitions of PostgreSQL's tables: a day of operations and minutes each, a month of hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

__all__ = ["days_of", "partition", "upper_bound"]

DAY = 86400
_MONTHLY = frozenset({"rollups_hour"})
_BY_TIME = frozenset({"rollups_minute", "rollups_hour"})  # the others by ids, whose first four bytes are the second


def days_of(ids: Iterable[bytes]) -> set[int]:
    """Give the days, as seconds since 1970, in which these operations began."""
    return {int.from_bytes(second, "big") // DAY * DAY for second in {id_[:4] for id_ in ids}}


def partition(table: str, second: int) -> tuple[str, str, str]:
    """Give the name of the partition that a second since 1970 belongs to, and its bounds as SQL."""
    start = datetime.fromtimestamp(second, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if table in _MONTHLY:
        start = start.replace(day=1)
        name = f"{table}_{start:%Y%m}"
    else:
        name = f"{table}_{start:%Y%m%d}"
    return name, _bound(table, start), _bound(table, _next(table, start))


def upper_bound(table: str, name: str) -> int:
    """Give the second since 1970 before which everything in a partition is."""
    form = "%Y%m" if table in _MONTHLY else "%Y%m%d"
    start = datetime.strptime(name.removeprefix(f"{table}_"), form).replace(tzinfo=UTC)
    return int(_next(table, start).timestamp())


def _next(table: str, start: datetime) -> datetime:
    if table in _MONTHLY:
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=1)


def _bound(table: str, moment: datetime) -> str:
    second = int(moment.timestamp())
    return str(second) if table in _BY_TIME else f"'\\x{second:08x}'"
