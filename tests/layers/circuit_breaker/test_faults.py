import pytest

from gatewright import errors
from gatewright.layers.circuit_breaker.faults import is_fault, is_rate_limit


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (errors.ConnectionFailed, True),
        (errors.ProviderTimeout, True),
        (errors.ProviderUnavailable, True),
        (errors.InvalidProviderResponse, True),
        (errors.AuthenticationFailed, True),
        (errors.StreamInterrupted, True),
        (errors.BadRequest, False),
        (errors.ContextWindowExceeded, False),
        (errors.ContentPolicyViolation, False),
        (errors.UnsupportedParameter, False),
        (errors.PermissionDenied, False),
        (errors.NotFound, False),
        (errors.RateLimited, False),
        (errors.DeadlineExceeded, False),
        (errors.CallCancelled, False),
        (errors.GatewayClosed, False),
        (errors.ConfigurationError, False),
        (KeyError, False),
    ],
)
def test_only_what_the_deployment_is_to_blame_for_counts(error, counts):
    assert is_fault(error("it failed")) is counts


def test_a_stream_breaks_off_for_the_reason_in_its_cause():
    broken = errors.StreamInterrupted("broken")
    broken.__cause__ = errors.CallCancelled("closed")
    assert not is_fault(broken)
    broken.__cause__ = errors.RateLimited("slow down")
    assert is_rate_limit(broken)
