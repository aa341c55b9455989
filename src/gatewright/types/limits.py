"""What a provider says is left of its limits."""

from __future__ import annotations

import msgspec

__all__ = ["LONGEST_PAUSE", "ProviderLimits"]

LONGEST_PAUSE = 86_400.0
"""Seconds for which one answer's `Retry-After` closes a deployment at most: a daily quota's, and longer is a slip."""


class ProviderLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The `x-ratelimit-remaining-*` headers of one answer; None is "not said"."""

    remaining_requests: int | None = None
    remaining_tokens: int | None = None
