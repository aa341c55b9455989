"""Token arrays, which the legacy routes take instead of texts."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["is_tokens"]


def is_tokens(value: Any) -> bool:
    """Say whether `value` is a list of at least one token id."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, int) and not isinstance(one, bool) for one in cast("list[Any]", value))
