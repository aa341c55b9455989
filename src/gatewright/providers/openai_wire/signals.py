"""What a provider says, in the headers of an answer, is left of its limits."""

from __future__ import annotations

from collections.abc import Mapping

from gatewright.types.limits import ProviderLimits

__all__ = ["limits_of"]

NOTHING = ProviderLimits()


def limits_of(headers: Mapping[str, str]) -> ProviderLimits | None:
    """Read `x-ratelimit-remaining-requests` and `-tokens`; None where neither is there as a count."""
    requests, tokens = headers.get("x-ratelimit-remaining-requests"), headers.get("x-ratelimit-remaining-tokens")
    if requests is None and tokens is None:
        return None  # as of most providers: every answer is looked at
    left = ProviderLimits(remaining_requests=_count(requests), remaining_tokens=_count(tokens))
    return None if left == NOTHING else left


def _count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 16 else None
