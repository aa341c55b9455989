"""Tokens used and what they cost."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["NO_USAGE", "Price", "Usage"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one call; `source` says whether the provider reported them or they were counted here.

    `prompt_tokens` includes `cached_tokens` (read from the provider's cache) and `cache_write_tokens`;
    `completion_tokens` includes `reasoning_tokens`. This is OpenAI's convention, whatever the provider's is.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    source: Literal["provider", "estimated"] = "provider"

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            source="provider" if self.source == other.source == "provider" else "estimated",
        )


NO_USAGE = Usage()


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs, in US dollars a token, and how much it takes, in tokens.

    A prompt of more than `above_tokens` tokens is billed at the price `above` instead, all of it and its answer.
    """

    input_cost_per_token: float = 0.0
    output_cost_per_token: float = 0.0
    cache_read_input_token_cost: float | None = None
    cache_creation_input_token_cost: float | None = None
    output_cost_per_reasoning_token: float | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    mode: str = "chat"
    above_tokens: int | None = None
    above: Price | None = None

    def cost(self, usage: Usage) -> float:
        """Give the price of `usage` in US dollars; cached and reasoning tokens at the model's own rates for them."""
        if self.above is not None and usage.prompt_tokens > (self.above_tokens or 0):
            return self.above.cost(usage)
        plain = usage.prompt_tokens
        cost = usage.completion_tokens * self.output_cost_per_token
        if usage.cached_tokens and self.cache_read_input_token_cost is not None:
            plain -= usage.cached_tokens
            cost += usage.cached_tokens * self.cache_read_input_token_cost
        if usage.cache_write_tokens and self.cache_creation_input_token_cost is not None:
            plain -= usage.cache_write_tokens
            cost += usage.cache_write_tokens * self.cache_creation_input_token_cost
        if usage.reasoning_tokens and self.output_cost_per_reasoning_token is not None:
            cost += usage.reasoning_tokens * (self.output_cost_per_reasoning_token - self.output_cost_per_token)
        return cost + max(0, plain) * self.input_cost_per_token
