"""Over any window, no more is charged than the burst and what the rate lets in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.layers.rate_limiter.bucket import Bucket

ROUNDING = 1e-3

rates = st.floats(0.01, 1000)
gaps = st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 500))
shares = st.floats(0, 1)
steps = st.lists(
    st.tuples(gaps, st.sampled_from(["take", "take", "take", "give_back", "owe", "correct", "hold"]), shares),
    max_size=60,
)


@given(rate=rates, burst=st.floats(1, 1000), steps=steps)
def test_whenever_an_amount_is_taken_the_net_charge_of_every_window_ending_there_is_within_the_limit(
    rate, burst, steps
):
    now = 1000.0
    bucket = Bucket(rate, burst, now)
    charges: list[tuple[float, float]] = []
    unused = 0.0
    for gap, what, share in steps:
        now += gap
        amount = share * burst
        if what == "take" and bucket.take(amount, now):
            charges.append((now, amount))
            unused += amount
            window = 0.0
            for then, charge in reversed(charges):
                window += charge
                assert window <= burst + rate * (now - then) + ROUNDING
        elif what == "give_back":
            charges.append((now, -share * unused))
            bucket.give_back(share * unused, now)
            unused -= share * unused
        elif what == "owe":
            charges.append((now, amount))
            bucket.give_back(-amount, now)
        elif what == "correct":
            bucket.correct(amount, now)
        elif what == "hold":
            bucket.hold(share * 100, now)
        assert bucket.level(now) <= burst


@given(rate=rates, burst=st.floats(1, 100), gaps=st.lists(gaps, max_size=80))
def test_requests_taken_as_soon_as_possible_reach_the_limit_and_never_exceed_it(rate, burst, gaps):
    now = start = 50.0
    bucket = Bucket(rate, burst, now)
    taken = 0
    for gap in gaps:
        now += gap
        while bucket.take(1.0, now):
            taken += 1
            assert taken <= burst + rate * (now - start) + ROUNDING
            if taken > 500:
                return
        assert bucket.level(now) < 1.0


@given(
    rate=rates,
    burst=st.floats(1, 1000),
    debt=st.floats(0, 5000),
    amount=st.floats(0.1, 5000),
    start=st.floats(0, 1e7),
)
def test_after_exactly_the_wait_that_was_asked_for_there_is_room(rate, burst, debt, amount, start):
    bucket = Bucket(rate, burst, start)
    bucket.give_back(-debt, start)
    now = start
    waits = 0
    while (wait := bucket.time_until(amount, now)) > 0:
        now += wait
        waits += 1
        assert waits <= 3
    assert bucket.take(amount, now)
    ideal = max(0.0, min(amount, burst) - burst + debt) / rate
    assert abs(now - start - ideal) <= 1e-5 + 1e-3 / rate


@given(burst=st.floats(1, 100), other_burst=st.floats(1, 100), rate=rates, other_rate=rates, used=st.floats(0, 300))
def test_changing_a_limit_makes_no_room_by_itself_and_forgives_no_debt(burst, other_burst, rate, other_rate, used):
    bucket = Bucket(rate, burst, 0.0)
    bucket.give_back(-used, 0.0)
    before = bucket.level(0.0)
    bucket.change(other_rate, other_burst, 0.0)
    assert bucket.level(0.0) == pytest.approx(min(before, other_burst), abs=1e-5)
    assert bucket.level(1e9) == other_burst
