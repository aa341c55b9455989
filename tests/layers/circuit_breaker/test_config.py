import math

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.circuit_breaker import CircuitBreakerConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_threshold", 0),
        ("success_threshold", -1),
        ("timeout", -1),
        ("timeout", 0),
        ("timeout", math.nan),
        ("failure_rate", 0),
        ("failure_rate", 1.5),
        ("minimum_calls", 0),
        ("window", math.inf),
        ("max_open_time", 0),
        ("jitter", 2),
        ("half_open_probes", 0),
        ("probe_timeout", 0),
        ("rate_limit_persistence", -1),
        ("deadline_persistence", -0.5),
    ],
)
def test_a_wrong_value_is_refused_by_name(field, value):
    with pytest.raises(ConfigurationError) as caught:
        CircuitBreakerConfig(**{field: value})
    assert f"{field}: " in str(caught.value)
    assert f"got {value!r}" in str(caught.value)


def test_a_timeout_beyond_the_cap_is_the_cap():
    assert CircuitBreakerConfig(timeout=1200).longest_open_time == 1200
