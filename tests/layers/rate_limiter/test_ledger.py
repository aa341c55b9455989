import math

import pytest

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit


def limit(scope="tenant:a", now=0.0, shared=False, **config):
    return Limit(scope, RateLimitConfig(**config), now, shared=shared)


def reserve(limits, tokens, now=0.0) -> Permit:
    got = try_reserve(limits, tokens, now)
    assert isinstance(got, Permit)
    return got


def test_a_call_is_charged_to_all_limits_or_to_none():
    wide = limit(requests_per_minute=60, tokens_per_minute=6000)
    narrow = limit("model:m", requests_per_minute=60, burst_size=1)
    reserve([wide, narrow], 100)
    assert wide.requests and wide.tokens
    assert (wide.requests.level(0.0), wide.tokens.level(0.0)) == pytest.approx((59, 5900))
    assert try_reserve([wide, narrow], 100, 0.0) == pytest.approx(1.0)
    assert (wide.requests.level(0.0), wide.tokens.level(0.0)) == pytest.approx((59, 5900))
    blocked = blocked_by([wide, narrow], 100, 0.0)
    assert blocked and blocked[0] is narrow


def test_too_much_is_given_back_and_too_little_is_owed_once():
    bucket = limit(tokens_per_minute=6000)
    first, second = reserve([bucket], 1000), reserve([bucket], 1000)
    assert first.settle(200, 0.0)
    assert not first.settle(200, 0.0)
    assert not first.cancel(0.0)
    assert second.settle(7000, 0.0)
    assert bucket.tokens and bucket.tokens.level(0.0) == pytest.approx(6000 - 200 - 7000)


def test_a_cancelled_call_leaves_no_trace():
    bucket = limit(requests_per_minute=60, tokens_per_minute=6000, max_concurrent=1)
    assert reserve([bucket], 1000).cancel(0.0)
    assert bucket.is_idle(0.0)


def test_permits_are_waited_for_without_end_and_given_back_on_every_ending():
    bucket = limit(max_concurrent=1)
    for end in (lambda r: r.settle(5, 1.0), lambda r: r.settle(None, 1.0), lambda r: r.cancel(1.0)):
        reservation = reserve([bucket], 10)
        assert try_reserve([bucket], 10, 0.0) == math.inf
        assert end(reservation)
        assert bucket.in_flight == 0


def test_the_wait_for_a_permit_is_foretold_by_how_long_calls_take():
    bucket = limit(max_concurrent=2)
    reserve([bucket], 1, now=0.0).settle(1, 10.0)
    reserve([bucket], 1, now=10.0)
    reserve([bucket], 1, now=10.0)
    assert bucket.drain_time(4, 0, 10.0) == pytest.approx(20.0)


def test_a_limit_changed_while_calls_are_under_way_stays_right():
    bucket = limit(tokens_per_minute=6000, max_concurrent=3)
    reservation = reserve([bucket], 1000)
    bucket.change(RateLimitConfig(requests_per_minute=60), 0.0)
    bucket.change(RateLimitConfig(tokens_per_minute=600), 0.0)
    assert bucket.tokens
    bucket.tokens.take(500, 0.0)
    reservation.settle(0, 0.0)
    assert bucket.tokens.level(0.0) == pytest.approx(100)
    assert bucket.in_flight == 0


def test_after_a_providers_pause_one_request_goes_and_then_the_rate_holds():
    deployment = limit("deployment:d", requests_per_minute=60, tokens_per_minute=60_000, shared=True)
    deployment.pause_until(30.0, 0.0)
    assert try_reserve([deployment], 10, 29.0) == pytest.approx(1.0)
    reserve([deployment], 10, 30.0)
    assert try_reserve([deployment], 10, 30.0) == pytest.approx(1.0)


def test_a_pause_is_never_shortened_and_what_is_owed_in_it_is_not_refilled_by_it():
    deployment = limit("deployment:d", tokens_per_minute=60, burst_tokens=10)
    under_way = reserve([deployment], 4)
    deployment.pause_until(20.0, 0.0)
    deployment.pause_until(10.0, 0.0)
    assert try_reserve([deployment], 1, 15.0) == pytest.approx(5.0)
    under_way.settle(8, 15.0)
    assert deployment.tokens
    assert deployment.tokens.level(deployment.flows_from(15.0)) == pytest.approx(2.0)
    assert not deployment.is_idle(15.0)
    assert try_reserve([deployment], 4, 15.0) == pytest.approx(7.0)
    reserve([deployment], 2, 20.0)
    assert try_reserve([deployment], 1, 20.5) == pytest.approx(0.5)


def test_a_providers_remaining_counts_are_believed():
    deployment = limit("deployment:d", requests_per_minute=60, tokens_per_minute=60_000)
    deployment.correct(0.0, requests=1, tokens=500)
    assert try_reserve([deployment], 1000, 0.0) == pytest.approx(0.5)


def test_the_slowest_limit_lets_its_burst_through_and_then_as_good_as_nothing():
    slow = limit(requests_per_minute=5e-324, burst_size=2)
    reserve([slow], 1)
    reserve([slow], 1)
    wait = try_reserve([slow], 1, 0.0)
    assert not isinstance(wait, Permit)
    assert wait > 1e9
