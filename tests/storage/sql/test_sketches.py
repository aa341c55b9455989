from __future__ import annotations

import random

import pytest

from gatewright.storage.sql.sketches import MOST_KEPT, MOST_VALUES, merged, quantiles, sketch_of


def true_quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def test_nothing_has_no_quantiles() -> None:
    assert merged(None, sketch_of([])) is None
    assert quantiles([], 0.5) == []


def test_few_values_are_kept_as_they_are() -> None:
    sketch = merged(sketch_of([3.0, 1.0]), sketch_of([2.0]))
    assert sketch is not None
    assert len(sketch) == 1 + 3 * 4
    assert quantiles([sketch], 0.0, 0.5, 1.0) == [1.0, 2.0, 3.0]


def test_adding_nothing_changes_nothing() -> None:
    sketch = sketch_of([1.0])
    assert merged(sketch, None) == sketch


@pytest.mark.parametrize("step", [1, 7, 400])
def test_many_small_steps_are_as_good_as_one(step: int) -> None:
    rng = random.Random(step)
    values = [rng.lognormvariate(0, 1) * 800_000 for _ in range(step * 500)]
    sketch = None
    for start in range(0, len(values), step):
        sketch = merged(sketch, sketch_of(values[start : start + step]))
    assert sketch is not None
    assert len(sketch) <= 1 + 8 * MOST_KEPT
    for share in (0.5, 0.95, 0.99):
        found = quantiles([sketch], share)[0]
        below = sum(value <= found for value in values) / len(values)
        assert abs(below - share) < 0.01


def test_sketches_of_both_kinds_add_up() -> None:
    rng = random.Random(5)
    parts = [[rng.lognormvariate(0, 1) for _ in range(size)] for size in (1, 3, MOST_VALUES, 900, 2, 5000)]
    sketches = [sketch for part in parts if (sketch := sketch_of(part)) is not None]
    values = [value for part in parts for value in part]
    for share in (0.5, 0.95, 0.99):
        found = quantiles(sketches, share)[0]
        assert found == pytest.approx(true_quantile(values, share), rel=0.05)
