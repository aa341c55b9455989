from __future__ import annotations

from typing import Any

import pytest

from gatewright.llmops.price_entries import is_price_name, price_of
from gatewright.types.usage import Price, Usage

FLAT = {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}


def cost(entry: dict[str, Any], provider: str = "", **usage: Any) -> float:
    price = price_of(entry, provider)
    assert price is not None
    return price.cost(Usage(**usage))


@pytest.mark.parametrize("entry", [{}, {"input_cost_per_image": 0.1}, {"input_cost_per_token": None}])
def test_what_is_sold_neither_by_the_token_nor_by_the_second_has_no_price(entry: dict[str, Any]) -> None:
    assert price_of(entry) is None


def test_what_is_free_has_a_price() -> None:
    assert price_of({"input_cost_per_token": 0, "output_cost_per_token": 0}) == Price()


def test_several_steps() -> None:
    entry = {**FLAT, "input_cost_per_token_above_128k_tokens": 2e-6, "input_cost_per_token_above_200k_tokens": 3e-6}
    counts = (128_000, 128_001, 200_000, 200_001)
    assert [cost(entry, prompt_tokens=count) for count in counts] == [0.128, 0.256002, 0.4, 0.600003]


def test_xai_bills_the_dearer_rate_from_the_threshold_on() -> None:
    entry = {**FLAT, "input_cost_per_token_above_128k_tokens": 2e-6}
    assert cost(entry, "xai", prompt_tokens=128_000) == 0.256
    assert cost(entry, "xai", prompt_tokens=127_999) == 0.127999


def test_a_tier_is_billed_at_the_standard_rate_where_it_has_none() -> None:
    entry = {**FLAT, "input_cost_per_token_priority": 2e-6, "cache_read_input_token_cost": 1e-7}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 500, "service_tier": "priority"}
    assert cost(entry, **usage) == 0.001 + 0.00005 + 0.0004
    assert cost(entry, **usage | {"service_tier": "flex"}) == 0.00095


def test_a_batch_costs_half_where_the_map_has_no_rate_for_it() -> None:
    entry = {**FLAT, "input_cost_per_token_batches": 4e-7}
    assert cost(entry, prompt_tokens=1000, completion_tokens=100, service_tier="batch") == 0.0006
    assert cost(FLAT, prompt_tokens=1000, completion_tokens=100, service_tier="batch") == 0.0014


def test_the_cache_of_fireworks_costs_half() -> None:
    assert cost(FLAT, "fireworks_ai", prompt_tokens=1000, cached_tokens=1000) == 0.0005


QUIET = {
    **FLAT,
    "off_peak_pricing": {
        "input_cost_per_token": 5e-7,
        "hours_utc": "16:30-00:30",
        "windows": [{"hours_utc": ["00:00-00:00"], "weekdays": [7]}],
    },
}
THURSDAY = 1795651200.0  # 2026-11-26 00:00 UTC
HOUR = 3600


@pytest.mark.parametrize(
    ("at", "dollars"),
    [
        (THURSDAY, 0.0005),
        (THURSDAY + HOUR / 2, 0.001),
        (THURSDAY + 16.5 * HOUR - 1, 0.001),
        (THURSDAY + 16.5 * HOUR, 0.0005),
        (THURSDAY + 3 * 24 * HOUR + 12 * HOUR, 0.0005),
        (THURSDAY + 2 * 24 * HOUR + 12 * HOUR, 0.001),
    ],
)
def test_quiet_hours(at: float, dollars: float) -> None:
    price = price_of(QUIET)
    assert price is not None
    assert price.cost(Usage(prompt_tokens=1000), at=at) == dollars


def test_the_weekday_is_that_of_the_prices_time_zone() -> None:
    entry = {
        **FLAT,
        "off_peak_pricing": {
            "input_cost_per_token": 5e-7,
            "weekday_timezone": "Asia/Shanghai",
            "windows": [{"hours_utc": "00:00-00:00", "weekdays": [5]}],
        },
    }
    price = price_of(entry)
    assert price is not None
    assert price.cost(Usage(prompt_tokens=1000), at=THURSDAY + 15 * HOUR) == 0.001
    assert price.cost(Usage(prompt_tokens=1000), at=THURSDAY + 17 * HOUR) == 0.0005


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("input_cost_per_token", True),
        ("cache_creation_input_token_cost_above_1hr", True),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", True),
        ("output_cost_per_token_above_272k_tokens_priority", True),
        ("cache_read_input_token_cost_batches", True),
        ("input_cost_per_second", True),
        ("max_tokens", False),
        ("input_cost", False),
    ],
)
def test_names_of_prices(name: str, known: bool) -> None:
    assert is_price_name(name) is known
