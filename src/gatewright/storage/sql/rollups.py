"""Sums of operations, as they are added up before they are written: by series and minute, hour and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from operator import mul

from gatewright.storage.sql.fields import Column, Columns
from gatewright.storage.sql.rows import ROLLUP_COLUMNS, Row
from gatewright.storage.sql.sketches import merged, sketch_of
from gatewright.types.operations import STATUSES

__all__ = ["GRAINS", "SUMS", "Rollup", "by_grain", "minutes_of"]

GRAINS = {"minute": 60, "hour": 3600, "day": 86400}
"""The rollups that are kept, and the seconds that one row of each is for."""
ANSWERED = STATUSES.index("success")
SUMS = ROLLUP_COLUMNS[2:-2]
TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
Key = tuple[int, int]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of some operations, in the order of `SUMS`, and the sketches of their durations."""

    sums: Sequence[int]
    latencies: bytes | None
    first_tokens: bytes | None

    def __add__(self, other: Rollup) -> Rollup:
        """Add all of another's."""
        sums = [mine + others for mine, others in zip(self.sums, other.sums, strict=True)]
        latencies = merged(self.latencies, other.latencies)
        return Rollup(sums, latencies, merged(self.first_tokens, other.first_tokens))

    def row(self, key: Key, known: tuple[bytes | None, bytes | None]) -> Row:
        """Give the row that adds this to what is stored, whose sketches are `known`."""
        return (*key, *self.sums, merged(known[0], self.latencies), merged(known[1], self.first_tokens))


def minutes_of(fields: Columns, series: Column) -> dict[Key, Rollup]:
    """Add operations up by series and minute."""
    places: defaultdict[Key, list[int]] = defaultdict(list)
    minutes = [at // 60_000 * 60 for at in fields["started_at"]]
    for place, key in enumerate(zip(series, minutes, strict=True)):
        places[key].append(place)
    order = [*chain.from_iterable(places.values())]
    spans = [*pairwise([0, *accumulate(map(len, places.values()))])]
    sums = {name: _sums(column, order, spans) for name, column in _summed(fields).items() if any(column)}
    sums["calls"] = [*map(len, places.values())]
    nothing = [0] * len(places)
    each = zip(*[sums.get(name, nothing) for name in SUMS], strict=True)
    sketches = [_sketches(fields[name], order, spans) for name in ("latency", "first_token")]
    return {key: Rollup(*one) for key, *one in zip(places, each, *sketches, strict=True)}


def _sums(column: Column, order: Iterable[int], spans: Iterable[Span]) -> list[int]:
    """Sum these parts of a column that is put into this order."""
    ordered = [*map(column.__getitem__, order)]
    return [sum(ordered[start:end]) for start, end in spans]


def _sketches(column: Column, order: Iterable[int], spans: Iterable[Span]) -> list[bytes | None]:
    ordered = [*map(column.__getitem__, order)]
    return [sketch_of([value for value in ordered[start:end] if value is not None]) for start, end in spans]


def by_grain(minutes: Mapping[Key, Rollup]) -> dict[str, Mapping[Key, Rollup]]:
    """Give the rollups of each grain by series and start."""
    grains = {"minute": minutes}
    for grain in ("hour", "day"):
        coarser: dict[Key, Rollup] = {}
        for (series, start), rollup in minutes.items():
            key = (series, start - start % GRAINS[grain])
            known = coarser.get(key)
            coarser[key] = rollup if known is None else known + rollup
        grains[grain] = coarser
    return grains


def _summed(fields: Columns) -> Columns:
    """Give what is summed. Tokens count where they were paid for: not those of a cached or shared answer."""
    summed = {name: fields[name] for name in SUMS if name in fields}
    cache, cost, saved = fields["cache"], fields["cost"], fields["saved"]
    if cache.count(None) < len(cache):
        paid = [tier is None for tier in cache]
        shared = [tier == "shared" for tier in cache]
        summed |= {name: [*map(mul, fields[name], paid)] for name in TOKENS}
        summed["cached"] = [not (one or other) for one, other in zip(paid, shared, strict=True)]
        summed["shared"], summed["saved_shared"] = shared, [*map(mul, saved, shared)]
    if None in cost:
        unpriced = zip(cost, fields["status"], strict=True)
        summed["cost"] = [picodollars or 0 for picodollars in cost]
        summed["unpriced"] = [picodollars is None and status == ANSWERED for picodollars, status in unpriced]
    return summed
