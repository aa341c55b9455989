"""Tokens used and what they cost."""

from __future__ import annotations

import time
from decimal import Decimal
from functools import cached_property
from typing import Literal

import msgspec

from gatewright.types.billing import FEMTO, Rates, bill
from gatewright.types.off_peak import OffPeakHours

__all__ = ["NO_USAGE", "OffPeak", "Price", "Usage", "UsageDetails", "cost_of"]


class UsageDetails(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What only some models count: tokens of sound and pictures, and what is sold by the piece or the second.

    The tokens are part of the prompt's or the completion's; `cached_audio_tokens` is part of both the cached tokens
    and the prompt's audio tokens.
    """

    prompt_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    prompt_video_tokens: int = 0
    cached_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    completion_image_tokens: int = 0
    completion_video_tokens: int = 0
    images: int = 0
    queries: int = 0
    searches: int = 0
    audio_seconds: float = 0.0
    video_seconds: float = 0.0

    def __add__(self, other: UsageDetails) -> UsageDetails:
        return UsageDetails(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Token counts of one call; `source` says whether the provider reported them or they were counted here.

    `prompt_tokens` includes `cached_tokens` (read from the provider's cache) and `cache_write_tokens`, of which
    `cache_write_1h_tokens` are kept for an hour; `completion_tokens` includes `reasoning_tokens`. This is OpenAI's
    convention, whatever the provider's is. `service_tier` is the one that served the call, such as `flex`;
    `stated_cost_usd` is what the provider itself says it charged.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    details: UsageDetails | None = None
    service_tier: str | None = None
    stated_cost_usd: float | None = None
    source: Literal["provider", "estimated"] = "provider"

    def __add__(self, other: Usage) -> Usage:
        if self.details is None or other.details is None:
            details = self.details or other.details
        else:
            details = self.details + other.details
        stated = self.stated_cost_usd is not None and other.stated_cost_usd is not None
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            details=details,
            service_tier=self.service_tier or other.service_tier,
            stated_cost_usd=(self.stated_cost_usd or 0.0) + (other.stated_cost_usd or 0.0) if stated else None,
            source="provider" if self.source == other.source == "provider" else "estimated",
        )


NO_USAGE = Usage()

# The price file's words for the rates; litellm's are as long as sentences.
_SHORT = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
    "input_cost_per_video_token": "video_in",
    "output_cost_per_video_token": "video_out",
    "input_cost_per_image": "image",
    "input_cost_per_query": "query",
    "input_cost_per_request": "request",
    "input_cost_per_audio_per_second": "audio_second",
    "input_cost_per_video_per_second": "video_second",
    "search_cost_per_query": "search",
    "cost_per_second": "second",
}


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True, rename=_SHORT):
    """What a model costs, in US dollars a token, and how much it takes, in tokens.

    A rate that is None is that of the plain tokens. A prompt of more than `above_tokens` tokens is billed at the price
    `above` instead, all of it and its answer; that one may have a dearer one above it. `service_tiers` are the prices
    of the provider's other ways to be served (`flex`, `priority`, `batch` …), `off_peak` the one of quiet hours.
    Images, queries, requests, seconds and searches are sold by the piece; `cost_per_second` is for the time that
    the answer took. `own` prices are the user's.
    """

    input_cost_per_token: float = 0.0
    output_cost_per_token: float = 0.0
    cache_read_input_token_cost: float | None = None
    cache_read_input_audio_token_cost: float | None = None
    cache_creation_input_token_cost: float | None = None
    cache_creation_input_token_cost_above_1hr: float | None = None
    output_cost_per_reasoning_token: float | None = None
    input_cost_per_audio_token: float | None = None
    output_cost_per_audio_token: float | None = None
    input_cost_per_image_token: float | None = None
    output_cost_per_image_token: float | None = None
    input_cost_per_video_token: float | None = None
    output_cost_per_video_token: float | None = None
    input_cost_per_image: float | None = None
    input_cost_per_query: float | None = None
    input_cost_per_request: float | None = None
    input_cost_per_audio_per_second: float | None = None
    input_cost_per_video_per_second: float | None = None
    search_cost_per_query: float | None = None
    cost_per_second: float | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    mode: str = "chat"
    above_tokens: int | None = None
    above: Price | None = None
    service_tiers: dict[str, Price] = {}
    off_peak: OffPeak | None = None
    own: bool = False

    @cached_property
    def rates(self) -> Rates:
        """The same in whole femtodollars (10⁻¹⁵ US dollars), to reckon with exactly."""
        return Rates(self)

    @cached_property
    def flat(self) -> Rates | None:
        """The rates where they are the same at all hours, for prompts of any length and answers of any duration."""
        varies = self.off_peak is not None or self.above is not None or self.cost_per_second
        return None if varies else self.rates

    def femtodollars(self, usage: Usage, *, seconds: float = 0.0, at: float | None = None) -> int:
        """Give the price of `usage` exactly, in 10⁻¹⁵ US dollars.

        `seconds` is how long the answer took, `at` the Unix time of the call (now, where it is not given).
        """
        price = self
        if price.off_peak is not None and price.off_peak.hours.hold(at):
            return bill(price.off_peak.price.rates, usage, seconds)
        if usage.service_tier is not None and price.service_tiers:
            price = price.service_tiers.get(usage.service_tier, price)
        while price.above is not None and usage.prompt_tokens > (price.above_tokens or 0):
            price = price.above
        return bill(price.rates, usage, seconds)

    def cost(self, usage: Usage, *, seconds: float = 0.0, at: float | None = None) -> float:
        """Give the price of `usage` in US dollars: the float nearest to the exact one."""
        return self.femtodollars(usage, seconds=seconds, at=at) / FEMTO

    def exact_cost(self, usage: Usage, *, seconds: float = 0.0, at: float | None = None) -> Decimal:
        """Give the price of `usage` in US dollars, exactly."""
        return Decimal(self.femtodollars(usage, seconds=seconds, at=at)).scaleb(-15)


class OffPeak(msgspec.Struct, frozen=True, kw_only=True):
    """A lower price and the hours it is for."""

    hours: OffPeakHours
    price: Price


def cost_of(usage: Usage, price: Price | None, began: float | None = None) -> float | None:
    """Give what a call cost in US dollars: what its provider says it charged, else by the price; None if unknown.

    A price of the user's own stands over what the provider says. `began` is the monotonic time at which the provider
    was asked, for what is sold by the second.
    """
    if usage.stated_cost_usd is not None and (price is None or not price.own):
        return usage.stated_cost_usd
    if price is None:
        return None
    if usage.service_tier is None and (flat := price.flat) is not None:
        return bill(flat, usage) / FEMTO
    return price.cost(usage, seconds=0.0 if began is None else time.monotonic() - began)
