import pytest

from gatewright.errors import BadRequest, ConnectionFailed, DeadlineExceeded, ProviderUnavailable, RateLimited
from gatewright.layers.circuit_breaker.breaker import Breaker
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig

DOWN = ConnectionFailed("down")


def breaker(on_change=None, **config):
    return Breaker(CircuitBreakerConfig(jitter=0, **config), on_change)


def fail(it, now, times=1, error: Exception = DOWN):
    for _ in range(times):
        it.record_failure(it.allow(now), error, now)


def test_it_opens_after_so_many_failures_in_a_row_and_a_success_between_starts_the_count_anew():
    it = breaker(failure_threshold=3)
    fail(it, 0.0, 2)
    it.record_success(it.allow(0.0), 0.0)
    fail(it, 0.0, 2)
    assert it.state == "closed"
    fail(it, 0.0)
    assert it.state == "open"
    assert it.allow(59.9) == 0


def test_it_opens_on_the_rate_of_failures_in_the_window():
    it = breaker(failure_threshold=100, failure_rate=0.5, minimum_calls=10)
    for _ in range(5):
        it.record_success(it.allow(0.0), 0.0)
        fail(it, 0.0)
    assert it.state == "open"


def test_what_left_the_window_does_not_count():
    it = breaker(failure_threshold=100, failure_rate=0.5, minimum_calls=10, window=60)
    fail(it, 0.0, 9)
    fail(it, 61.0, 9)
    assert it.state == "closed"
    fail(it, 61.0)
    assert it.state == "open"


def test_probes_close_it_or_open_it_for_twice_as_long():
    changes = []
    it = breaker(changes.append, failure_threshold=1, success_threshold=2, timeout=10)
    fail(it, 0.0)
    assert it.next_probe_at(0.0) == 10.0
    fail(it, 10.0)
    assert it.next_probe_at(10.0) == 30.0
    probe = it.allow(30.0)
    assert probe
    assert it.allow(30.0) == 0
    it.record_success(probe, 30.0)
    assert it.state == "half_open"
    it.record_success(it.allow(30.0), 30.0)
    assert it.state == "closed"
    assert [change.reason for change in changes] == ["failures", "probes_due", "probe", "probes_due", "recovered"]


@pytest.mark.parametrize(("healthy_for", "open_for"), [(30, 20), (61, 10)])
def test_after_a_window_of_health_the_open_time_starts_from_the_bottom(healthy_for, open_for):
    it = breaker(failure_threshold=1, success_threshold=1, timeout=10, window=60)
    fail(it, 0.0)
    it.record_success(it.allow(10.0), 10.0)
    assert it.state == "closed"
    again = 10.0 + healthy_for
    fail(it, again)
    assert it.next_probe_at(again) == again + open_for


def test_a_straggler_of_an_earlier_state_changes_nothing():
    it = breaker(failure_threshold=1, success_threshold=1, timeout=10)
    straggler = it.allow(0.0)
    fail(it, 0.0)
    it.record_success(straggler, 1.0)
    assert it.state == "open"
    probe = it.allow(10.0)
    it.record_failure(straggler, DOWN, 10.0)
    assert it.state == "half_open"
    it.record_success(probe, 10.0)
    assert it.state == "closed"


def test_an_abandoned_probe_makes_place_for_another_and_a_lost_one_does_so_in_the_end():
    it = breaker(failure_threshold=1, timeout=10, probe_timeout=60)
    fail(it, 0.0)
    probe = it.allow(10.0)
    it.probe_abandoned(probe)
    lost = it.allow(11.0)
    assert lost
    assert it.allow(12.0) == 0
    assert it.next_probe_at(12.0) == 71.0
    assert it.allow(71.0)
    it.record_failure(lost, DOWN, 72.0)
    assert it.state == "half_open"


def test_a_callers_mistake_never_counts():
    it = breaker(failure_threshold=1)
    fail(it, 0.0, 50, BadRequest("wrong"))
    assert it.state == "closed"


@pytest.mark.parametrize(
    ("setting", "error"),
    [("rate_limit_persistence", RateLimited("slow down")), ("deadline_persistence", DeadlineExceeded("late"))],
)
def test_what_may_be_the_callers_own_counts_when_there_is_nothing_else(setting, error):
    it = breaker(failure_threshold=2, **{setting: 30})
    fail(it, 0.0, 50, error)
    fail(it, 29.0, 50, error)
    it.record_success(it.allow(29.0), 29.0)
    fail(it, 58.0, 50, error)
    assert it.state == "closed"
    fail(it, 88.0, 2, error)
    assert it.state == "open"
    fail(it, it.next_probe_at(88.0), 1, error)
    assert it.state == "open"


def test_it_stays_open_for_as_long_as_the_provider_asks_within_the_cap():
    it = breaker(failure_threshold=1, timeout=10, max_open_time=100)
    fail(it, 0.0, 1, ProviderUnavailable("down", retry_after=50))
    assert it.next_probe_at(0.0) == 50.0
    fail(it, 50.0, 1, ProviderUnavailable("down", retry_after=5000))
    assert it.next_probe_at(50.0) == 150.0


def test_by_hand_it_is_opened_until_it_is_closed():
    it = breaker(failure_threshold=1, timeout=10)
    it.open_by_hand(0.0)
    assert it.allow(1e9) == 0
    it.close_by_hand(1e9)
    assert it.allow(1e9)
    fail(it, 1e9)
    it.reset(1e9)
    assert it.status(1e9).openings == 0


def test_a_changed_configuration_holds_from_then_on():
    it = breaker(failure_threshold=5)
    fail(it, 0.0, 2)
    it.change(CircuitBreakerConfig(failure_threshold=3, window=30))
    fail(it, 0.0)
    assert it.state == "open"


def test_the_status_tells_what_it_has_seen():
    it = breaker(failure_threshold=5)
    it.record_success(it.allow(0.0), 0.0)
    fail(it, 0.0, 2)
    status = it.status(0.0)
    assert (status.state, status.failures_in_a_row, status.failed, status.succeeded) == ("closed", 2, 2, 1)
    assert status.next_probe_at is None


@pytest.mark.parametrize("now", [0.0, 1e-9, 1e9])
def test_it_works_at_any_time(now):
    it = breaker(failure_threshold=1, timeout=1)
    fail(it, now)
    assert it.allow(now) == 0
    assert it.allow(now + 1.0)
