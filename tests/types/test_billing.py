"""A bill is the sum of counts times rates, exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.types.billing import femtodollars
from gatewright.types.usage import Price, Usage, UsageDetails, cost_of

COUNT = st.integers(0, 2_000_000)
RATE = st.decimals(0, "0.001", places=12).map(float)


@pytest.mark.parametrize(
    ("dollars", "femto"),
    [(0.0, 0), (1e-6, 10**9), (1.3125e-07, 131_250_000), (0.1, 10**14), (2.9999900000000002e-06, 2_999_990_000)],
)
def test_an_amount_is_the_decimal_it_is_written_as(dollars: float, femto: int) -> None:
    assert femtodollars(dollars) == femto


@given(rates=st.tuples(*[RATE] * 6), counts=st.tuples(*[COUNT] * 6))
def test_every_token_is_billed_once_at_its_own_rate(rates: tuple[float, ...], counts: tuple[int, ...]) -> None:
    plain, cached, written, hour, spoken, reasoning = counts
    price = Price(
        input_cost_per_token=rates[0],
        cache_read_input_token_cost=rates[1],
        cache_creation_input_token_cost=rates[2],
        cache_creation_input_token_cost_above_1hr=rates[3],
        output_cost_per_token=rates[4],
        output_cost_per_reasoning_token=rates[5],
    )
    usage = Usage(
        prompt_tokens=plain + cached + written + hour,
        cached_tokens=cached,
        cache_write_tokens=written + hour,
        cache_write_1h_tokens=hour,
        completion_tokens=spoken + reasoning,
        reasoning_tokens=reasoning,
    )
    exact = sum((Decimal(repr(rate)) * count for rate, count in zip(rates, counts, strict=True)), Decimal(0))
    assert price.exact_cost(usage) == exact
    assert price.cost(usage) == float(exact)


@given(counts=st.tuples(*[COUNT] * 6))
def test_at_one_rate_it_does_not_matter_what_a_token_is_of(counts: tuple[int, ...]) -> None:
    text, audio, image, spoken, sung, drawn = counts
    usage = Usage(
        prompt_tokens=text + audio + image,
        completion_tokens=spoken + sung + drawn,
        details=UsageDetails(
            prompt_audio_tokens=audio,
            prompt_image_tokens=image,
            completion_audio_tokens=sung,
            completion_image_tokens=drawn,
        ),
    )
    price = Price(input_cost_per_token=1e-6, output_cost_per_token=3e-6)
    assert price.femtodollars(usage) == sum(counts[:3]) * 10**9 + sum(counts[3:]) * 3 * 10**9


@pytest.mark.parametrize(
    ("rate", "details", "dollars"),
    [
        ({"input_cost_per_image": 0.001}, {"images": 3, "prompt_image_tokens": 1000}, 0.003),
        ({}, {"images": 3, "prompt_image_tokens": 1000}, 0.001),
        ({"input_cost_per_query": 0.00007}, {"queries": 2}, 0.00114),
        ({"input_cost_per_request": 0.005}, {}, 0.006),
        ({"search_cost_per_query": 0.01}, {"searches": 2}, 0.021),
        ({"input_cost_per_audio_per_second": 0.00014}, {"audio_seconds": 2.5, "prompt_audio_tokens": 1000}, 0.00035),
        ({"input_cost_per_video_per_second": 0.0007}, {"video_seconds": 10.0, "prompt_video_tokens": 1000}, 0.007),
        ({"input_cost_per_audio_token": 1e-5}, {"prompt_audio_tokens": 400}, 0.0046),
        ({"output_cost_per_audio_token": 1e-5}, {"completion_audio_tokens": 0}, 0.001),
    ],
)
def test_what_is_sold_by_the_piece(rate: dict[str, float], details: dict[str, float], dollars: float) -> None:
    price = Price(input_cost_per_token=1e-6, **rate)  # pyright: ignore[reportArgumentType]
    usage = Usage(prompt_tokens=1000, details=UsageDetails(**details))  # pyright: ignore[reportArgumentType]
    assert price.cost(usage) == dollars


def test_sound_that_was_read_from_the_cache() -> None:
    price = Price(input_cost_per_token=1e-6, cache_read_input_token_cost=1e-7, cache_read_input_audio_token_cost=3e-7)
    heard = UsageDetails(prompt_audio_tokens=100, cached_audio_tokens=100)
    assert price.cost(Usage(prompt_tokens=1000, cached_tokens=300, details=heard)) == 0.00075


def test_counts_that_do_not_add_up_never_pay_back() -> None:
    price = Price(input_cost_per_token=1e-6, output_cost_per_token=1e-6)
    assert price.cost(Usage(prompt_tokens=10, cached_tokens=30, completion_tokens=5, reasoning_tokens=9)) > 0


@pytest.mark.parametrize(
    ("usage", "price", "dollars"),
    [
        (Usage(prompt_tokens=10), None, None),
        (Usage(prompt_tokens=10, stated_cost_usd=0.5), None, 0.5),
        (Usage(prompt_tokens=10, stated_cost_usd=0.5), Price(input_cost_per_token=1.0), 0.5),
        (Usage(prompt_tokens=10, stated_cost_usd=0.5), Price(input_cost_per_token=1.0, own=True), 10.0),
        (Usage(prompt_tokens=10), Price(), 0.0),
    ],
)
def test_what_the_provider_says_it_charged_stands_over_the_catalogue_but_not_over_the_users_own_price(
    usage: Usage, price: Price | None, dollars: float | None
) -> None:
    assert cost_of(usage, price) == dollars
