"""What a provider says is left of its limits."""

from __future__ import annotations

import msgspec

__all__ = ["ProviderLimits"]


class ProviderLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The `x-ratelimit-remaining-*` headers of one answer; None is "not said"."""

    remaining_requests: int | None = None
    remaining_tokens: int | None = None
