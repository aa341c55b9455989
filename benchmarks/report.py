"""What a benchmark found: rows of a table, and the table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Ratio", "Row", "at_least", "at_most", "microseconds", "print_table", "ratio_of"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure; `ok` is None where it is only for information. `numbers` are for the JSON file."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    must: str = ""
    ok: bool | None = None
    numbers: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, with the least and the greatest of them: each round is its own comparison."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.greatest:.2f})"


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide round by round."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def at_most(what: str, ours: Sequence[float], peer: Sequence[float], limit: float, peer_name: str) -> Row:
    """Make the row of a cost (µs, by round) that may be at most `limit` times the peer's."""
    ratio = ratio_of(ours, peer)
    return _compared(what, ours, peer, peer_name, ratio, f"<= {limit:g} x", ratio.median <= limit)


def at_least(what: str, ours: Sequence[float], peer: Sequence[float], limit: float, peer_name: str) -> Row:
    """Make the row of a cost (µs, by round) of which the peer's must be at least `limit` times as much."""
    ratio = ratio_of(peer, ours)
    return _compared(what, ours, peer, peer_name, ratio, f">= {limit:g} x less", ratio.median >= limit)


def _compared(
    what: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, ratio: Ratio, must: str, ok: bool
) -> Row:
    return Row(
        what,
        microseconds(ours),
        f"{peer_name} {microseconds(peer)}",
        str(ratio),
        must,
        ok,
        {"ours_us": list(ours), "peer_us": list(peer), "ratio": dataclasses.asdict(ratio)},
    )


def microseconds(rounds: Sequence[float]) -> str:
    """Give the median of the rounds."""
    return f"{statistics.median(rounds):,.1f} µs"


def print_table(name: str, about: str, rows: Iterable[Row]) -> None:
    """Print one benchmark's rows, with columns as wide as they need to be."""
    cells = [["what", "ours", "peer", "ratio", "must reach", ""]]
    cells += [[row.what, row.ours, row.peer, row.ratio, row.must, _verdict(row.ok)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{name}: {about}")
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _verdict(ok: bool | None) -> str:
    return "" if ok is None else "ok" if ok else "MISS"
