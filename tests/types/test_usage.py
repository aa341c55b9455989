from __future__ import annotations

import pytest

from gatewright.types.usage import NO_USAGE, Price, Usage

PRICE = Price(input_cost_per_token=2e-6, output_cost_per_token=8e-6)


def test_usages_add_up_and_one_estimate_makes_the_sum_an_estimate() -> None:
    one = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cached_tokens=1, reasoning_tokens=1)
    assert one + NO_USAGE == one
    both = one + Usage(prompt_tokens=10, total_tokens=10, cache_write_tokens=4, source="estimated")
    assert both == Usage(
        prompt_tokens=11,
        completion_tokens=2,
        total_tokens=13,
        cached_tokens=1,
        cache_write_tokens=4,
        reasoning_tokens=1,
        source="estimated",
    )


@pytest.mark.parametrize(
    ("price", "usage", "dollars"),
    [
        (PRICE, NO_USAGE, 0.0),
        (PRICE, Usage(prompt_tokens=1000, completion_tokens=100), 2e-3 + 8e-4),
        (PRICE, Usage(prompt_tokens=1000, cached_tokens=400, cache_write_tokens=100), 2e-3),
        (
            Price(input_cost_per_token=2e-6, cache_read_input_token_cost=5e-7, cache_creation_input_token_cost=2.5e-6),
            Usage(prompt_tokens=1000, cached_tokens=400, cache_write_tokens=100),
            500 * 2e-6 + 400 * 5e-7 + 100 * 2.5e-6,
        ),
        (
            Price(output_cost_per_token=8e-6, output_cost_per_reasoning_token=1e-6),
            Usage(completion_tokens=100, reasoning_tokens=60),
            40 * 8e-6 + 60 * 1e-6,
        ),
    ],
)
def test_costs(price: Price, usage: Usage, dollars: float) -> None:
    assert price.cost(usage) == pytest.approx(dollars)


def test_a_long_prompt_is_billed_whole_at_the_dearer_price() -> None:
    price = Price(
        input_cost_per_token=1e-6,
        output_cost_per_token=2e-6,
        above_tokens=200_000,
        above=Price(input_cost_per_token=3e-6, output_cost_per_token=5e-6),
    )
    assert price.cost(Usage(prompt_tokens=200_000, completion_tokens=10)) == pytest.approx(0.2 + 2e-5)
    assert price.cost(Usage(prompt_tokens=200_001, completion_tokens=10)) == pytest.approx(0.600003 + 5e-5)
