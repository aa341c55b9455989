"""What one call wants of the response cache, in the SDK's words or in those of LiteLLM's clients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gatewright.errors import BadRequest
from gatewright.layers.cache.checks import checked_ttl
from gatewright.pipeline.call import CacheWishes
from gatewright.types.configuration import mapping, nearest

__all__ = ["cache_wishes"]

_SWITCHES = ("no_cache", "no_store", "use_cache")
_KNOWN = [*_SWITCHES, "namespace", "ttl", "s_maxage"]


def cache_wishes(own: Mapping[str, Any]) -> CacheWishes | None:
    """Read `cache` and `cache_ttl` of a call's own options; None where neither is given."""
    ttl, wanted = own.get("cache_ttl"), own.get("cache")
    if ttl is None and wanted is None:
        return None
    ttl = None if ttl is None else checked_ttl(ttl, 0.0, "cache_ttl")
    return CacheWishes(ttl=ttl) if wanted is None else _read(wanted, ttl)


def _read(wanted: Any, ttl: float | None) -> CacheWishes:
    given = mapping(wanted)
    if given is None:
        raise BadRequest(f"cache: expected names and values, got {wanted!r}", param="cache")
    # LiteLLM's clients write them with a hyphen.
    named = {str(name).replace("-", "_"): value for name, value in given.items() if value is not None}
    for name in named:
        if name not in _KNOWN:
            near = nearest(name, _KNOWN)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(_KNOWN)}"
            raise BadRequest(f"cache.{name}: there is no such option; {hint}", param=f"cache.{name}")
    switches = {name: _switch(name, named.get(name)) for name in _SWITCHES}
    unused = switches["use_cache"] is False
    return CacheWishes(
        no_cache=bool(switches["no_cache"]) or unused,
        no_store=bool(switches["no_store"]) or unused,
        namespace=_namespace(named.get("namespace", "")),
        ttl=checked_ttl(named["ttl"], 0.0, "cache.ttl") if ttl is None and "ttl" in named else ttl,
        max_age=_max_age(named.get("s_maxage")),
    )


def _switch(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"cache.{name}: expected True or False, got {value!r}", param=f"cache.{name}")
    return value


def _namespace(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"cache.namespace: expected a text, got {value!r}", param="cache.namespace")
    return value


def _max_age(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadRequest(f"cache.s_maxage: expected seconds, zero or more, got {value!r}", param="cache.s_maxage")
    return float(value)
