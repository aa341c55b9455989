import math

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.rate_limiter import RateLimitConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requests_per_minute", 0),
        ("requests_per_minute", -1),
        ("requests_per_minute", math.nan),
        ("requests_per_minute", math.inf),
        ("tokens_per_minute", 0),
        ("tokens_per_minute", -0.5),
        ("tokens_per_minute", math.nan),
        ("burst_size", 0),
        ("burst_size", 0.5),
        ("burst_tokens", 0),
        ("max_concurrent", 0),
        ("queue_timeout", -1),
        ("queue_timeout", math.nan),
        ("queue_timeout", math.inf),
        ("max_queue_size", -1),
        ("weight", 0),
        ("weight", math.nan),
        ("priority", "high"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field, value):
    with pytest.raises(ConfigurationError) as caught:
        RateLimitConfig(**{field: value})
    assert f"{field}: " in str(caught.value)
    assert f"got {value!r}" in str(caught.value)


def test_the_burst_is_a_minutes_worth_unless_it_is_given():
    assert RateLimitConfig(requests_per_minute=120, tokens_per_minute=6000).request_burst == 120
    assert RateLimitConfig(requests_per_minute=120, tokens_per_minute=6000).token_burst == 6000
    given = RateLimitConfig(requests_per_minute=120, burst_size=2, tokens_per_minute=6000, burst_tokens=100)
    assert (given.request_burst, given.token_burst) == (2, 100)


def test_a_burst_is_at_least_one_call():
    assert RateLimitConfig(requests_per_minute=0.5).request_burst == 1
