from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gatewright.errors import ConfigurationError
from gatewright.llmops.own_prices import price_from_settings
from gatewright.types.usage import Price, Usage

BASE = Price(input_cost_per_token=1e-6, max_input_tokens=1000, above_tokens=100, above=Price(input_cost_per_token=2e-6))


@pytest.mark.parametrize(
    ("settings", "base", "expected"),
    [
        ({}, None, None),
        ({}, BASE, BASE),
        ({"mode": "chat", "input_cost_per_token": None}, BASE, BASE),
        ({"max_input_tokens": 5}, None, None),
        ({"input_cost_per_token": "3e-6"}, None, Price(input_cost_per_token=3e-6, own=True)),
        (
            {"output_cost_per_token": 4e-6, "max_output_tokens": 9},
            BASE,
            Price(
                input_cost_per_token=1e-6,
                output_cost_per_token=4e-6,
                max_input_tokens=1000,
                max_output_tokens=9,
                own=True,
            ),
        ),
    ],
)
def test_a_deployments_own_prices_stand_over_the_catalogues(
    settings: dict[str, Any], base: Price | None, expected: Price | None
) -> None:
    assert price_from_settings(settings, base) == expected


def test_limits_alone_keep_the_rest() -> None:
    price = price_from_settings({"max_input_tokens": 5}, BASE)
    assert price is not None
    assert (price.max_input_tokens, price.above, price.input_cost_per_token) == (5, BASE.above, 1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_cost_per_token", -1e-6),
        ("input_cost_per_token", float("nan")),
        ("output_cost_per_token", "cheap"),
        ("output_cost_per_token", True),
        ("cache_read_input_token_cost", float("inf")),
        ("max_input_tokens", 0),
        ("max_output_tokens", "many"),
    ],
)
def test_a_wrong_price_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        price_from_settings({name: value}, None)
    assert caught.value.param == name


CATALOGUES = Price(
    input_cost_per_token=1e-6,
    output_cost_per_token=4e-6,
    above_tokens=100,
    above=Price(input_cost_per_token=2e-6, output_cost_per_token=6e-6),
    service_tiers={"flex": Price(input_cost_per_token=5e-7, output_cost_per_token=2e-6)},
)


def test_a_rate_beside_input_and_output_keeps_the_catalogues_steps_and_tiers() -> None:
    price = price_from_settings({"cache_read_input_token_cost": 1e-7, "output_cost_per_audio_token": 8e-5}, CATALOGUES)
    assert price == msgspec.structs.replace(
        CATALOGUES, cache_read_input_token_cost=1e-7, output_cost_per_audio_token=8e-5, own=True
    )


def test_a_price_of_input_ends_the_catalogues_steps_and_tiers() -> None:
    price = price_from_settings({"input_cost_per_token": 3e-6}, CATALOGUES)
    assert price == Price(input_cost_per_token=3e-6, output_cost_per_token=4e-6, own=True)


def test_steps_tiers_and_ranges_of_ones_own() -> None:
    price = price_from_settings(
        {
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 2e-6,
            "input_cost_per_token_above_128k_tokens": "2e-6",
            "input_cost_per_token_flex": 5e-7,
        },
        None,
    )
    assert price is not None
    assert price.cost(Usage(prompt_tokens=128_000)) == 0.128
    assert price.cost(Usage(prompt_tokens=128_001)) == 0.256002
    assert price.cost(Usage(prompt_tokens=1000, service_tier="flex")) == 0.0005
    ranges = [
        {"range": [0, 1000], "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6},
        {"range": [1000, 9000], "input_cost_per_token": 3e-6, "output_cost_per_token": 3e-6},
    ]
    tiered = price_from_settings({"tiered_pricing": ranges}, None)
    assert tiered is not None
    assert [tiered.cost(Usage(prompt_tokens=count)) for count in (1000, 1001)] == [0.001, 0.003003]


def test_a_price_by_the_second_is_for_the_time_the_answer_took() -> None:
    price = price_from_settings({"input_cost_per_second": 0.0004}, CATALOGUES)
    assert price is not None
    assert price.cost(Usage(prompt_tokens=10_000), seconds=2.5) == 0.001


def test_a_rate_without_the_prices_of_tokens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="set input_cost_per_token") as caught:
        price_from_settings({"cache_read_input_token_cost": 1e-7}, None)
    assert caught.value.param == "cache_read_input_token_cost"
