"""What may be a key, a time to live, a value; whatever may not is a `BadRequest` that names it."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.errors import BadRequest
from gatewright.layers.cache.config import MAX_TTL

__all__ = ["checked_key", "checked_ttl", "decoded", "encoded"]

_encode = msgspec.msgpack.Encoder().encode
decoded = msgspec.msgpack.Decoder().decode


def checked_key(key: Any, tenant_id: Any, namespace: Any, *, empty: bool = False) -> None:
    """Refuse what cannot be a key, a tenant or a namespace."""
    if not isinstance(key, str) or not (key or empty):
        raise BadRequest(f"key: expected a text that is not empty, got {key!r}", param="key")
    if tenant_id is not None and not isinstance(tenant_id, str):
        raise BadRequest(f"tenant_id: expected a text or None, got {tenant_id!r}", param="tenant_id")
    if not isinstance(namespace, str):
        raise BadRequest(f"namespace: expected a text, got {namespace!r}", param="namespace")


def checked_ttl(ttl: Any, default: float, name: str = "ttl") -> float:
    """Give the seconds that something is to be kept."""
    if ttl is None:
        return default
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= MAX_TTL:
        raise BadRequest(f"{name}: expected seconds above zero (ten years at most), got {ttl!r}", param=name)
    return float(ttl)


def encoded(value: Any, limit: int) -> bytes:
    """Give a value as MessagePack of at most `limit` bytes."""
    try:
        data = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise BadRequest(f"value: it cannot be serialised: {error}", param="value") from None
    if len(data) > limit:
        raise BadRequest(f"value: it has {len(data)} bytes, and max_value_bytes is {limit}", param="value")
    return data
