"""A bill in whole numbers: rates as femtodollars (10⁻¹⁵ US dollars), times counts."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewright.types.usage import Price, Usage, UsageDetails

__all__ = ["FEMTO", "Rates", "bill", "femtodollars"]

FEMTO = 10**15


def femtodollars(dollars: float) -> int:
    """Give an amount as the decimal that it is written as, in whole 10⁻¹⁵ dollars.

    Nothing is sold in finer steps: what is finer in a price list is the noise of somebody's floats.
    """
    return int(Decimal(repr(dollars)).scaleb(15).to_integral_value(ROUND_HALF_EVEN))


class Rates:
    """A price's own rates in femtodollars, each filled in; those above a threshold are another price's."""

    __slots__ = (
        "audio_in",
        "audio_out",
        "audio_second",
        "cache_read",
        "cache_read_audio",
        "cache_write",
        "cache_write_1h",
        "image",
        "image_in",
        "image_out",
        "input",
        "output",
        "query",
        "reasoning",
        "request",
        "search",
        "second",
        "video_in",
        "video_out",
        "video_second",
    )

    def __init__(self, price: Price) -> None:
        def rate(own: float | None, otherwise: int) -> int:
            return otherwise if own is None else femtodollars(own)

        self.input = femtodollars(price.input_cost_per_token)
        self.output = femtodollars(price.output_cost_per_token)
        self.cache_read = rate(price.cache_read_input_token_cost, self.input)
        self.cache_read_audio = rate(price.cache_read_input_audio_token_cost, self.cache_read)
        self.cache_write = rate(price.cache_creation_input_token_cost, self.input)
        self.cache_write_1h = rate(price.cache_creation_input_token_cost_above_1hr, self.cache_write)
        self.reasoning = rate(price.output_cost_per_reasoning_token, self.output)
        self.audio_in = rate(price.input_cost_per_audio_token, self.input)
        self.audio_out = rate(price.output_cost_per_audio_token, self.output)
        self.image_in = rate(price.input_cost_per_image_token, self.input)
        self.image_out = rate(price.output_cost_per_image_token, self.output)
        self.video_in = rate(price.input_cost_per_video_token, self.input)
        self.video_out = rate(price.output_cost_per_video_token, self.output)
        # What is sold by the piece is not sold by its tokens as well; -1 stands for "not by the piece".
        self.image = rate(price.input_cost_per_image, -1)
        self.audio_second = rate(price.input_cost_per_audio_per_second, -1)
        self.video_second = rate(price.input_cost_per_video_per_second, -1)
        self.query = rate(price.input_cost_per_query, 0)
        self.request = rate(price.input_cost_per_request, 0)
        self.search = rate(price.search_cost_per_query, 0)
        self.second = rate(price.cost_per_second, 0)


def bill(rates: Rates, usage: Usage, seconds: float = 0.0) -> int:
    """Give what `usage` costs at these rates, in femtodollars; `seconds` is how long the answer took."""
    cached, written, hour = usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    reasoning = usage.reasoning_tokens
    plain, spoken = usage.prompt_tokens - cached - written, usage.completion_tokens - reasoning
    total = rates.request + cached * rates.cache_read + (written - hour) * rates.cache_write
    total += hour * rates.cache_write_1h + reasoning * rates.reasoning
    if rates.second and seconds:
        total += _by_second(rates.second, seconds)
    if usage.details is not None:
        asked, plain = _special_prompt(rates, usage.details, max(0, plain))
        answered, spoken = _special_completion(rates, usage.details, spoken)
        total += asked + answered
    if plain > 0:
        total += plain * rates.input
    return total + spoken * rates.output if spoken > 0 else total


def _special_prompt(rates: Rates, details: UsageDetails, uncached: int) -> tuple[int, int]:
    """Bill what is not text in a prompt, and give how many of its uncached tokens are left to be billed as text."""
    audio = min(max(0, details.prompt_audio_tokens - details.cached_audio_tokens), uncached)
    image = min(details.prompt_image_tokens, uncached - audio)
    video = min(details.prompt_video_tokens, uncached - audio - image)
    total = details.cached_audio_tokens * (rates.cache_read_audio - rates.cache_read)
    total += details.queries * rates.query + details.searches * rates.search
    if rates.audio_second >= 0 and details.audio_seconds:
        total += _by_second(rates.audio_second, details.audio_seconds)
    else:
        total += audio * rates.audio_in
    if rates.image >= 0 and details.images:
        total += details.images * rates.image
    else:
        total += image * rates.image_in
    if rates.video_second >= 0 and details.video_seconds:
        total += _by_second(rates.video_second, details.video_seconds)
    else:
        total += video * rates.video_in
    return total, uncached - audio - image - video


def _special_completion(rates: Rates, details: UsageDetails, spoken: int) -> tuple[int, int]:
    audio, image, video = (
        details.completion_audio_tokens,
        details.completion_image_tokens,
        details.completion_video_tokens,
    )
    total = audio * rates.audio_out + image * rates.image_out + video * rates.video_out
    return total, spoken - audio - image - video


def _by_second(rate: int, seconds: float) -> int:
    return int((rate * Decimal(repr(seconds))).to_integral_value(ROUND_HALF_EVEN))
