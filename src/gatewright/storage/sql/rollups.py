"""Sums of operations, as they are added up before they are written: by series and minute, hour and day."""

from __future__ import annotations

from gatewright.storage.sql.sketches import merged
from gatewright.types.operations import STATUSES
from gatewright.types.records import OperationRecord

__all__ = ["GRAINS", "Rollup", "Rollups"]

GRAINS = {"minute": 60, "hour": 3600, "day": 86400}
"""The rollups that are kept, and the seconds that one row of each is for."""
ANSWERED = STATUSES.index("success")
Key = tuple[int, int]


class Rollup:
    """The sums of some operations, and the durations that go into their sketches."""

    __slots__ = ("first_tokens", "latencies", "sums")

    def __init__(self) -> None:
        self.sums = [0] * 16
        self.latencies: list[float] = []
        self.first_tokens: list[float] = []

    def add(self, record: OperationRecord) -> None:
        """Add an operation. Tokens count where they were paid for: not those of a cached or shared answer."""
        sums = self.sums
        sums[0] += 1
        if record.cache is None:
            sums[1] += record.prompt_tokens
            sums[2] += record.completion_tokens
            sums[3] += record.cached_tokens
            sums[4] += record.reasoning_tokens
        else:
            sums[8 if record.cache == "shared" else 7] += 1
        if record.cost is not None:
            sums[5] += record.cost
        elif record.status == ANSWERED:
            sums[6] += 1
        sums[9] += record.saved
        sums[10] += record.retries
        sums[11] += record.fallbacks
        sums[12] += record.latency
        sums[13] += record.queued
        sums[14] += record.overhead
        if record.cache == "shared":
            sums[15] += record.saved
        self.latencies.append(record.latency)
        if record.first_token is not None:
            self.first_tokens.append(record.first_token)

    def join(self, other: Rollup) -> None:
        """Add all of another's."""
        self.sums = [mine + others for mine, others in zip(self.sums, other.sums, strict=True)]
        self.latencies += other.latencies
        self.first_tokens += other.first_tokens

    def row(self, key: Key, known: tuple[bytes | None, bytes | None]) -> tuple[object, ...]:
        """Give the row that adds this to what is stored, whose sketches are `known`."""
        return (*key, *self.sums, merged(known[0], self.latencies), merged(known[1], self.first_tokens))


class Rollups:
    """The rollups of one batch."""

    def __init__(self) -> None:
        self._minutes: dict[Key, Rollup] = {}

    def add(self, series: int, record: OperationRecord) -> None:
        """Add an operation."""
        key = (series, record.started_at // 60_000 * 60)
        rollup = self._minutes.get(key)
        if rollup is None:
            rollup = self._minutes[key] = Rollup()
        rollup.add(record)

    def by_grain(self) -> dict[str, dict[Key, Rollup]]:
        """Give the rollups of each grain by series and start."""
        grains: dict[str, dict[Key, Rollup]] = {"minute": self._minutes}
        for grain in ("hour", "day"):
            coarser = grains[grain] = {}
            for (series, start), rollup in self._minutes.items():
                coarser.setdefault((series, start - start % GRAINS[grain]), Rollup()).join(rollup)
        return grains
