"""What makes two requests the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

__all__ = ["request_key"]

KEY_BYTES = 16
_canonical = msgspec.json.Encoder(order="deterministic").encode


def request_key(
    tenant: str | None, operation: str, model: str, messages: Sequence[Any], params: Mapping[str, Any]
) -> bytes | None:
    """Give 16 bytes that are the same for the same request of the same tenant, whatever the order of its keys.

    It is BLAKE2b over canonical JSON. None for a request with something in it that JSON has no form for: such a
    request is like no other.
    """
    try:
        text = _canonical((tenant, operation, model, messages, params))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return blake2b(text, digest_size=KEY_BYTES).digest()
