"""Sketches of durations: few bytes that say how a number of microseconds are spread, and can be added up.

Few values are kept as they are, many as the centroids of a t-digest (Dunning & Ertl, 2019), of fastdigest. As bytes:
`V` and the values, or `C`, the centroids' means and their weights, all as 32-bit numbers. With so many centroids the
99th percentile of what was added up in thousands of steps is within 1 % of the true one.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Sequence

__all__ = ["mean", "merged", "quantiles"]

VALUES, CENTROIDS = b"V", b"C"
MOST_VALUES = 128
"""Up to so many values are kept as they are."""
MOST_CENTROIDS = 128
MOST_KEPT = 192
"""Values that are added are centroids of their own, until there are so many in all."""
ENOUGH = 10_000
"""Of twice as many centroids every second is taken, and so on: what that adds to a rank's error is at most 0.5 %."""


def merged(sketch: bytes | None, values: Sequence[float]) -> bytes | None:
    """Give a sketch with some more values in it; None where there are none at all."""
    if not values:
        return sketch
    added = array("f", values)
    if sketch is None or sketch[:1] == VALUES:
        if len(sketch or b"") + 4 * len(added) <= 4 * MOST_VALUES + 1:
            return (sketch or VALUES) + added.tobytes()
    elif len(sketch) + 8 * len(added) <= 8 * MOST_KEPT + 1:
        half = (len(sketch) + 1) // 2
        return sketch[:half] + added.tobytes() + sketch[half:] + _ONES[: 4 * len(added)]
    return _compressed([sketch] if sketch else [], added)


def _compressed(sketches: Iterable[bytes], added: array[float]) -> bytes:
    from fastdigest import TDigest

    means, weights = _read(sketches)
    digest = TDigest(MOST_CENTROIDS)
    if means:
        digest.batch_update(means, weights or None)
    digest.batch_update(added)
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
