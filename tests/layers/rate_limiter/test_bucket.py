import pytest

from gatewright.layers.rate_limiter.bucket import Bucket


def test_it_starts_full_and_is_refilled_continuously():
    bucket = Bucket(2.0, 4.0, now=10.0)
    assert [bucket.take(1.0, 10.0) for _ in range(5)] == [True, True, True, True, False]
    assert bucket.time_until(1.0, 10.0) == pytest.approx(0.5)
    assert not bucket.take(1.0, 10.4)
    assert bucket.take(1.0, 10.5)
    assert bucket.level(1000.0) == pytest.approx(4.0)


def test_a_debt_is_paid_before_anyone_goes():
    bucket = Bucket(10.0, 100.0, now=0.0)
    bucket.take(100.0, 0.0)
    bucket.give_back(-50.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(-50.0)
    assert bucket.time_until(10.0, 0.0) == pytest.approx(6.0)


def test_more_than_the_burst_goes_when_it_is_full_and_the_rest_is_owed():
    bucket = Bucket(10.0, 100.0, now=0.0)
    bucket.take(10.0, 0.0)
    assert bucket.time_until(250.0, 0.0) == pytest.approx(1.0)
    assert bucket.take(250.0, 1.0)
    assert bucket.level(1.0) == pytest.approx(-150.0)


def test_what_is_given_back_never_exceeds_the_burst():
    bucket = Bucket(1.0, 5.0, now=0.0)
    bucket.give_back(3.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(5.0)


def test_nothing_is_refilled_while_it_is_held():
    bucket = Bucket(1.0, 5.0, now=0.0)
    bucket.take(3.0, 0.0)
    bucket.hold(20.0, 0.0)
    assert bucket.level(20.0) == pytest.approx(2.0)
    assert bucket.time_until(4.0, 15.0) == pytest.approx(7.0)
    assert bucket.take(2.0, 20.0)
    assert not bucket.take(1.0, 20.5)


def test_a_providers_word_lowers_the_level_and_never_raises_it():
    bucket = Bucket(1.0, 10.0, now=0.0)
    bucket.correct(3.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(3.0)
    bucket.correct(8.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(3.0)
    bucket.give_back(-10.0, 0.0)
    bucket.correct(0.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(-7.0)


def test_a_lowered_burst_takes_effect_at_once_and_a_raised_one_is_filled_at_the_new_rate():
    bucket = Bucket(1.0, 10.0, now=0.0)
    bucket.change(1.0, 4.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(4.0)
    bucket.change(2.0, 10.0, 0.0)
    assert bucket.level(0.0) == pytest.approx(4.0)
    assert bucket.level(2.0) == pytest.approx(8.0)


def test_a_clock_that_stands_still_or_lags_a_little_does_no_harm():
    bucket = Bucket(1.0, 2.0, now=5.0)
    bucket.take(2.0, 5.0)
    assert not bucket.take(1.0, 4.999)
    assert bucket.level(6.0) == pytest.approx(1.0)


def test_drain_time_counts_more_than_the_burst():
    bucket = Bucket(2.0, 4.0, now=0.0)
    assert bucket.drain_time(3.0, 0.0) == 0.0
    assert bucket.drain_time(24.0, 0.0) == pytest.approx(10.0)
