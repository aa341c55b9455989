"""Sketches of durations: few bytes that say how a number of microseconds are spread, and can be added up.

Few values are kept as they are, many as the centroids of a t-digest (Dunning & Ertl, 2019), of fastdigest. As bytes:
`V` and the values, or `C`, the centroids' means and their weights, all as 32-bit numbers. With so many centroids the
99th percentile of what was added up in thousands of steps is within 1 % of the true one.
"""

from __future__ import annotations

import operator
import struct
from array import array
from collections.abc import Iterable, Sequence

__all__ = ["mean", "merged", "quantiles", "sketch_of"]

VALUES, CENTROIDS = b"V", b"C"
MOST_VALUES = 128
"""Up to so many values are kept as they are."""
MOST_CENTROIDS = 128
MOST_KEPT = 192
"""Values that are added are centroids of their own, until there are so many in all."""
ENOUGH = 10_000
"""Of twice as many centroids every second is taken, and so on: what that adds to a rank's error is at most 0.5 %."""


def sketch_of(values: Sequence[float]) -> bytes | None:
    """Give the sketch of some values; None where there are none."""
    if not values:
        return None
    sketch = VALUES + struct.pack(f"{len(values)}f", *values)
    return sketch if len(values) <= MOST_VALUES else _compressed([sketch])


def merged(one: bytes | None, other: bytes | None) -> bytes | None:
    """Give the sketch of the values of both; None is the sketch of none."""
    if one is None or other is None:
        return other if one is None else one
    if other[:1] != VALUES:
        one, other = other, one
    if other[:1] == VALUES:
        added = other[1:]
        if one[:1] == VALUES and len(one) + len(added) <= 1 + 4 * MOST_VALUES:
            return one + added
        if one[:1] == CENTROIDS and len(one) + 2 * len(added) <= 1 + 8 * MOST_KEPT:
            half = (len(one) + 1) // 2
            return one[:half] + added + one[half:] + _ONES[: len(added)]
    return _compressed([one, other])


def _compressed(sketches: Sequence[bytes]) -> bytes:
    from fastdigest import TDigest

    means, weights = _read(sketches)
    digest = TDigest(MOST_CENTROIDS)
    digest.batch_update(means, weights or None)
    centres, counts = zip(*digest.centroids, strict=True)
    return CENTROIDS + array("f", centres).tobytes() + array("I", map(round, counts)).tobytes()


def quantiles(sketches: Iterable[bytes], *shares: float) -> list[float]:
    """Give the values below which these shares of all values of the sketches lie; empty where there are none."""
    means, weights = _read(sketches)
    if not means:
        return []
    from fastdigest import TDigest

    step = max(1, len(means) // ENOUGH)
    digest = TDigest(200)
    digest.batch_update(means[::step], weights[::step] or None)
    return [float(digest.quantile(share)) for share in shares]


def mean(sketches: Iterable[bytes]) -> float:
    """Give the mean of all values of the sketches; 0.0 where there are none."""
    means, weights = _read(sketches)
    if not weights:
        return sum(means) / len(means) if means else 0.0
    return sum(map(operator.mul, means, weights)) / sum(weights)


_ONES = array("I", [1] * MOST_KEPT).tobytes()


def _read(sketches: Iterable[bytes]) -> tuple[array[float], array[int]]:
    """Give the means of all centroids and their weights; no weights where all of them are 1."""
    means, weights = array("f"), array("I")
    for sketch in sketches:
        if sketch[:1] == VALUES:
            before = len(means)
            means.frombytes(sketch[1:])
            if weights:
                weights.extend([1] * (len(means) - before))
        else:
            half = (len(sketch) - 1) // 2
            if not weights:
                weights.extend([1] * len(means))
            means.frombytes(sketch[1 : 1 + half])
            weights.frombytes(sketch[1 + half :])
    return means, weights
