import pytest

from gatewright import errors
from gatewright.health.faults import is_fault, origin, wording
from gatewright.health.traffic import PARTS, Summary, Traffic


def test_it_counts_what_went_well_and_what_speaks_against_the_provider():
    traffic = Traffic(100)
    traffic.succeeded(0.2, 0.0)
    traffic.failed(errors.RateLimited("secret text"), 1.0)
    traffic.failed(errors.BadRequest("the caller's"), 2.0)
    traffic.began(0.05, 3.0)
    summary = Summary([traffic], 5.0)
    assert (summary.succeeded, summary.failed, summary.success_rate) == (1, 1, 0.5)
    assert summary.errors == {"RateLimited": 1, "BadRequest": 1}
    assert (summary.last_fault, summary.fault_age) == (errors.RateLimited, 4.0)
    assert sum(summary.first_chunks.values()) == 1


def test_what_left_the_window_is_forgotten():
    traffic = Traffic(100)
    traffic.failed(errors.ConnectionFailed("down"), 0.0)
    assert Summary([traffic], 99.0).failed == 1
    later = Summary([traffic], 101.0)
    assert (later.failed, later.success_rate, later.last_fault, later.fault_age) == (0, None, None, None)
    for second in range(0, 100_000, 7):
        traffic.succeeded(0.1, float(second))
    assert len(traffic.parts(100_000.0)) <= PARTS
    assert len(traffic._parts) <= PARTS


def test_several_are_added_up_with_the_latest_fault():
    one, two = Traffic(100), Traffic(100)
    one.failed(errors.ProviderTimeout("slow"), 5.0)
    two.failed(errors.AuthenticationFailed("no"), 3.0)
    two.succeeded(1.0, 4.0)
    summary = Summary([one, two], 6.0)
    assert (summary.total, summary.last_fault, summary.fault_age) == (3, errors.ProviderTimeout, 1.0)


@pytest.mark.parametrize("error", [errors.BadRequest, errors.CallCancelled, errors.NotFound])
def test_a_callers_faults_never_count(error):
    assert not is_fault(error("no"))


def test_what_the_gateway_refused_never_counts():
    refused = errors.RateLimited("own limit")
    refused.asked = False
    assert not is_fault(refused)


def test_an_interrupted_stream_counts_for_its_cause():
    broken = errors.StreamInterrupted("broken")
    assert isinstance(origin(broken), errors.ConnectionFailed)
    broken.__cause__ = errors.CallCancelled("closed")
    assert not is_fault(origin(broken))


def test_wordings_have_no_text_from_outside():
    assert wording(errors.RateLimited) == "Rate limit exceeded"
    assert wording(errors.ContextWindowExceeded) == "Context window exceeded"
    assert wording(KeyError) == "KeyError"
