"""What a provider says, in the headers of an answer, is left of its limits."""

from __future__ import annotations

from collections.abc import Mapping

from gatewright.types.limits import ProviderLimits

__all__ = ["limits_of"]

NOTHING = (None, None)


def limits_of(headers: Mapping[str, str]) -> ProviderLimits | None:
    """Read `x-ratelimit-remaining-requests` and `-tokens`; None where neither is there as a count."""
    said = headers.get("x-ratelimit-remaining-requests"), headers.get("x-ratelimit-remaining-tokens")
    if said == NOTHING:
        return None
    requests, tokens = map(_count, said)
    if requests is None and tokens is None:
        return None
    return ProviderLimits(remaining_requests=requests, remaining_tokens=tokens)


def _count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 16 else None
