from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.reports.window import window_of
from gatewright.storage.sql.rollups import GRAINS

NOW = st.floats(1_600_000_000, 2_000_000_000)
HOURS = st.floats(0.001, 24 * 900)
KEPT = st.one_of(st.none(), st.integers(1, 500))


@given(now=NOW, hours=HOURS, minutes=KEPT, months=KEPT, coarsest=st.sampled_from(list(GRAINS)))
def test_every_second_of_a_window_is_in_one_span_of_a_grain_that_is_kept(
    now: float, hours: float, minutes: int | None, months: int | None, coarsest: str
) -> None:
    window = window_of(hours, now, RecordsConfig(keep_minutes=minutes, keep_hours=months))
    spans = window.spans(coarsest)
    assert spans[0].start == window.start
    assert spans[-1].end > now
    assert all(one.end == other.start for one, other in itertools.pairwise(spans))
    assert now - hours * 3600 - GRAINS[window.edge] < window.start <= now - hours * 3600
    for span in spans:
        assert span.start % GRAINS[span.grain] == 0
        kept = {"minute": minutes, "hour": months, "day": None}[span.grain]
        assert kept is None or span.start >= now - kept * 86400 - GRAINS[span.grain]
    for span, following in itertools.pairwise(spans):
        assert following.start % GRAINS[following.grain] == 0
        assert span.end % GRAINS[following.grain] == 0
