"""Latencies in logarithmic classes: bounded memory, and percentiles within a few percent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

__all__ = ["class_of", "merged", "percentiles"]

PER_OCTAVE = 8
"""Classes for each doubling: one is 9 % wide, so a percentile is off by at most 4.5 %."""
LOWEST, HIGHEST = -10 * PER_OCTAVE, 22 * PER_OCTAVE
"""From a microsecond to more than an hour: no more classes than that, whatever comes."""


def class_of(seconds: float) -> int:
    """Give the class of a latency."""
    if seconds <= 0.0:
        return LOWEST
    number = math.floor(math.log2(seconds * 1000.0) * PER_OCTAVE)
    return LOWEST if number < LOWEST else HIGHEST if number > HIGHEST else number


def merged(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Add up counts by class."""
    total: dict[int, int] = {}
    for part in parts:
        for number, count in part.items():
            total[number] = total.get(number, 0) + count
    return total


def percentiles(counts: Mapping[int, int], *shares: float) -> list[float | None]:
    """Give the latency in milliseconds below which each share of the counts lies; None where there are none."""
    total = sum(counts.values())
    if not total:
        return [None for _ in shares]
    numbers = sorted(counts)
    return [_percentile(counts, numbers, max(1, math.ceil(share * total))) for share in shares]


def _percentile(counts: Mapping[int, int], numbers: list[int], rank: int) -> float:
    passed = 0
    for number in numbers:
        passed += counts[number]
        if passed >= rank:
            return _middle(number)
    return _middle(numbers[-1])


def _middle(number: int) -> float:
    milliseconds = 2.0 ** ((number + 0.5) / PER_OCTAVE)
    return round(milliseconds, 3 if milliseconds < 10 else 1)
