"""What a provider says is left of its limits."""

from __future__ import annotations

import pytest

from gatewright.providers.openai_wire.signals import limits_of
from gatewright.types.limits import ProviderLimits


def test_both_are_read() -> None:
    headers = {"x-ratelimit-remaining-requests": "7", "x-ratelimit-remaining-tokens": "1200"}
    assert limits_of(headers) == ProviderLimits(remaining_requests=7, remaining_tokens=1200)


def test_one_may_be_missing_and_none_is_none() -> None:
    assert limits_of({"x-ratelimit-remaining-tokens": "0"}) == ProviderLimits(remaining_tokens=0)
    assert limits_of({"content-type": "application/json"}) is None


@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "²", "9" * 40])
def test_what_is_no_count_is_not_believed(value: str) -> None:
    assert limits_of({"x-ratelimit-remaining-requests": value}) is None
