"""From the wire's usage to ours: how many tokens of which kind, and what the provider says that they cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gatewright.providers.openai_wire.shapes import CompletionDetails, PromptDetails, UsageBody
from gatewright.types.configuration import mapping
from gatewright.types.service_tier import service_tier
from gatewright.types.usage import Usage, UsageDetails

__all__ = ["usage_of"]

_XAI_TICKS = 10  # digits: xAI counts its dollars in steps of 10⁻¹⁰


def usage_of(body: UsageBody, tier: Any = None) -> Usage:
    """Read the token counts; the total is added up where it is missing. `tier` is the answer's `service_tier`."""
    prompt, completion = body.prompt_tokens or 0, body.completion_tokens or 0
    cached = body.prompt_cache_hit_tokens or body.num_cached_tokens or body.cached_tokens or 0
    written = reasoning = 0
    before, after = body.prompt_tokens_details, body.completion_tokens_details
    if before is not None:
        cached = before.cached_tokens or cached
        written = before.cache_write_tokens or 0
    if after is not None:
        reasoning = after.reasoning_tokens or 0
        # xAI counts the reasoning beside the completion.
        if reasoning and body.total_tokens == prompt + completion + reasoning:
            completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=body.total_tokens or prompt + completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        details=None if before is None and after is None else _details(before, after),
        service_tier=None if tier is None else service_tier(tier),
        stated_cost_usd=None if body.cost is None and body.cost_in_usd_ticks is None else _stated(body),
    )


def _details(before: PromptDetails | None, after: CompletionDetails | None) -> UsageDetails | None:
    """Give the tokens that are no text; None where there are none, as almost always."""
    special = before is not None and (before.audio_tokens or before.image_tokens or before.video_tokens)
    if not special and (after is None or not (after.audio_tokens or after.image_tokens)):
        return None
    before, after = before or PromptDetails(), after or CompletionDetails()
    return UsageDetails(
        prompt_audio_tokens=before.audio_tokens or 0,
        prompt_image_tokens=before.image_tokens or 0,
        prompt_video_tokens=before.video_tokens or 0,
        completion_audio_tokens=after.audio_tokens or 0,
        completion_image_tokens=after.image_tokens or 0,
    )


def _stated(body: UsageBody) -> float | None:
    """Give what the provider says it charged, in US dollars: OpenRouter, Perplexity and xAI do."""
    if body.cost_in_usd_ticks is not None:
        ticks = body.cost_in_usd_ticks
        return float(Decimal(ticks).scaleb(-_XAI_TICKS)) if isinstance(ticks, int) and ticks >= 0 else None
    if body.cost is None:
        return None
    if (parts := mapping(body.cost)) is not None:
        return _dollars(parts.get("total_cost"))
    charged = _dollars(body.cost)
    if charged is not None and body.is_byok is True:
        # OpenRouter charges its fee alone where the key is the caller's own; the upstream charges the rest.
        upstream = _dollars((mapping(body.cost_details) or {}).get("upstream_inference_cost")) or 0.0
        return charged + upstream
    return charged


def _dollars(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None
