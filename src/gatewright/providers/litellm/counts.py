"""litellm's usage as ours."""

from __future__ import annotations

from typing import Any

from gatewright.types.configuration import mapping
from gatewright.types.service_tier import service_tier
from gatewright.types.usage import NO_USAGE, Usage, UsageDetails

__all__ = ["tier_of", "usage_of"]


def usage_of(usage: Any, *, estimated: bool = False, tier: str | None = None) -> Usage:
    """Give litellm's usage as ours: both count cached tokens as prompt and reasoning tokens as completion."""
    if usage is None:
        return NO_USAGE
    prompt = usage.prompt_tokens or 0
    completion = usage.completion_tokens or 0
    before = getattr(usage, "prompt_tokens_details", None)
    after = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=usage.total_tokens or prompt + completion,
        cached_tokens=_count(before, "cached_tokens"),
        cache_write_tokens=_count(before, "cache_write_tokens") or _count(before, "cache_creation_tokens"),
        cache_write_1h_tokens=_count(
            getattr(before, "cache_creation_token_details", None), "ephemeral_1h_input_tokens"
        ),
        reasoning_tokens=_count(after, "reasoning_tokens"),
        details=_details(usage, before, after),
        service_tier=tier or service_tier(getattr(usage, "service_tier", None)),
        stated_cost_usd=_stated(usage),
        source="estimated" if estimated else "provider",
    )


def tier_of(response: Any) -> str | None:
    """Give the service tier that an answer says it was served in; Google says it as a type of traffic."""
    hidden = mapping(getattr(response, "_hidden_params", None)) or {}
    google = mapping(hidden.get("provider_specific_fields")) or {}
    return service_tier(getattr(response, "service_tier", None)) or service_tier(google.get("traffic_type"))


def _details(usage: Any, before: Any, after: Any) -> UsageDetails | None:
    """Give what is no text or is sold by the piece; None where there is none, as almost always."""
    images, text = _count(before, "image_count"), _count(before, "text_tokens")
    counts: dict[str, Any] = {
        "prompt_audio_tokens": _count(before, "audio_tokens"),
        # Images that are counted apiece are the whole prompt, unless its text is counted beside them.
        "prompt_image_tokens": _count(before, "image_tokens") or (usage.prompt_tokens if images and not text else 0),
        "prompt_video_tokens": _count(before, "video_tokens"),
        "cached_audio_tokens": _count(getattr(before, "cached_tokens_details", None), "audio_tokens"),
        "completion_audio_tokens": _count(after, "audio_tokens"),
        "completion_image_tokens": _count(after, "image_tokens"),
        "completion_video_tokens": _count(after, "video_tokens"),
        "images": images,
        "queries": _count(before, "query_count"),
        "searches": _count(before, "web_search_requests")
        or _count(getattr(usage, "server_tool_use", None), "web_search_requests"),
        "audio_seconds": _seconds(before, "audio_length_seconds"),
        "video_seconds": _seconds(before, "video_length_seconds"),
    }
    return UsageDetails(**counts) if any(counts.values()) else None


def _stated(usage: Any) -> float | None:
    """Give what the provider says it charged, in US dollars."""
    cost = getattr(usage, "cost", None)
    if (parts := mapping(cost)) is not None:
        cost = parts.get("total_cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < float("inf"):
        return None
    return float(cost)


def _count(details: Any, name: str) -> int:
    """Give a count of litellm's details, which are objects or dicts, and often None."""
    parts = mapping(details)
    value = getattr(details, name, None) if parts is None else parts.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _seconds(details: Any, name: str) -> float:
    value = getattr(details, name, None)
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
