"""The limits that apply to a call, found once and kept for all calls like it."""

from __future__ import annotations

from collections.abc import Iterable

from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.limit import Limit

__all__ = ["LimitSet"]


class LimitSet(tuple[Limit, ...]):
    """Limits, and their buckets side by side; `is_current` until one of them changes or is forgotten."""

    requests: tuple[Bucket, ...]
    tokens: tuple[Bucket, ...]
    is_current: bool

    def __new__(cls, limits: Iterable[Limit]) -> LimitSet:
        """Take their buckets as they are now."""
        made = super().__new__(cls, limits)
        made.requests = tuple([limit.requests for limit in made if limit.requests is not None])
        made.tokens = tuple([limit.tokens for limit in made if limit.tokens is not None])
        made.is_current = True
        return made
