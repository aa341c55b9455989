"""The vectors of texts, asked of an embedding model once and kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b

__all__ = ["Embed", "Meanings"]

Embed = Callable[[Sequence[str], str | None], Sequence[Sequence[float]]]
"""Gives each text a vector of length 1, on a tenant's account."""
KEPT = 8192


class Meanings:
    """Remembers the vectors of the texts last asked for, each tenant's for that tenant only."""

    def __init__(self, embed: Embed, kept: int = KEPT) -> None:
        self._embed = embed
        self._kept = kept
        self._vectors: OrderedDict[bytes, Sequence[float]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, texts: Sequence[str], tenant_id: str | None) -> list[Sequence[float]]:
        """Give the vectors in the texts' order; those that are not known are asked for in one call."""
        keys = [_key(text, tenant_id) for text in texts]
        with self._lock:
            known = {key: self._vectors[key] for key in keys if key in self._vectors}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known |= zip(missing, self._embed(list(missing.values()), tenant_id), strict=True)
        with self._lock:
            for key in keys:
                self._vectors[key] = known[key]
                self._vectors.move_to_end(key)
            while len(self._vectors) > self._kept:
                self._vectors.popitem(last=False)
        return [known[key] for key in keys]


def _key(text: str, tenant_id: str | None) -> bytes:
    owner = b"-" if tenant_id is None else b"t" + tenant_id.encode()
    return blake2b(text.encode(), digest_size=16, key=blake2b(owner, digest_size=32).digest()).digest()
