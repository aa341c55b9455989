import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.health.latencies import HIGHEST, LOWEST, class_of, merged, percentiles


@given(st.lists(st.floats(0.001, 600), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_within_five_percent(latencies, share):
    counts = merged({class_of(seconds): 1} for seconds in latencies)
    exact = sorted(latencies)[max(1, math.ceil(share * len(latencies))) - 1] * 1000
    [estimate] = percentiles(counts, share)
    assert estimate == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-12])
def test_the_shortest_share_a_class(seconds):
    assert class_of(seconds) == LOWEST


def test_the_longest_share_a_class():
    assert class_of(1e12) == HIGHEST


def test_memory_is_bounded_whatever_comes():
    counts = merged({class_of(random.lognormvariate(0, 20)): 1} for _ in range(5000))
    assert len(counts) <= HIGHEST - LOWEST + 1


def test_nothing_has_no_percentiles():
    assert percentiles({}, 0.5, 0.99) == [None, None]
