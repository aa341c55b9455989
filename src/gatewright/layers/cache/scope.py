"""Under which key a value is stored, and which stored keys a pattern means."""

from __future__ import annotations

import fnmatch
import functools
import re
from typing import Literal

from gatewright.errors import BadRequest
from gatewright.storage.keyvalue.protocol import Matches
from gatewright.types.caller import Caller

__all__ = ["Kind", "matching", "stored_key", "tenant_of", "tenant_prefix"]

Kind = Literal["value", "answer", "vector"]
"""What is stored: a value of the cache's own user, an answer, or a vector."""


def stored_key(caller: Caller, kind: Kind, namespace: str, key: str) -> str:
    """Give the key under which it is stored: no other tenant's, kind's or namespace's can be the same."""
    return f"{_begun(caller.tenant_id, kind, namespace)}{len(key)}:{key}"


@functools.lru_cache(maxsize=4096)
def _begun(tenant: str | None, kind: Kind, namespace: str) -> str:
    """Give a stored key without its last part: `Caller.scoped` is to be asked once for many."""
    return Caller(tenant_id=tenant).scoped(kind, namespace) + "|"


def tenant_prefix(tenant: str | None) -> str:
    """Give what the stored keys of one tenant, and no other's, begin with."""
    return Caller(tenant_id=tenant).scoped() + "|"


def tenant_of(stored: str) -> str | None:
    """Give the tenant of a stored key."""
    tenant = _parts(stored, 0)[0]
    return tenant[1:] if tenant.startswith("t") else None


def matching(pattern: str, namespace: str | None, prefix: str) -> Matches:
    """Say of stored keys of the prefix's tenant whether their key matches `pattern`, in one namespace or (None) in any.

    In a pattern `*` stands for any text, `?` for one character, `[a-z]` for one of several; `[*]` is a star itself.
    """
    if not isinstance(pattern, str) or not pattern:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BadRequest(f"pattern: expected a text that is not empty, got {pattern!r}", param="pattern")
    fits = re.compile(fnmatch.translate(pattern)).match

    def matches(stored: str) -> bool:
        parts = _parts(stored, len(prefix))
        return len(parts) == 3 and namespace in (None, parts[1]) and fits(parts[2]) is not None

    return matches


def _parts(stored: str, at: int) -> list[str]:
    """Take apart what `Caller.scoped` has put together."""
    parts: list[str] = []
    while at < len(stored):
        colon = stored.index(":", at)
        end = colon + 1 + int(stored[at:colon])
        parts.append(stored[colon + 1 : end])
        at = end + 1
    return parts
