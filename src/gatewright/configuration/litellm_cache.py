"""LiteLLM's `cache_params`, as the settings that they are here."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

__all__ = ["cache_settings"]

log = logging.getLogger("gatewright.config")

_BACKENDS = {"local": "memory", "disk": "file", "redis": "redis"}
_RENAMED = {"ttl": "default_ttl", "namespace": "redis_namespace", "url": "redis_url"}
_PLACE = ("host", "port", "username", "password", "ssl", "db", "disk_cache_dir")
# What has no part here: every kind of call is cached, and connections are Gatewright's own.
_IGNORED = ("type", "supported_call_types", "mode", "socket_timeout", "max_connections", "redis_flush_size")
_TTLS = {"redis": "default_in_redis_ttl", "local": "default_in_memory_ttl"}
_VARIABLES = {"host": "REDIS_HOST", "port": "REDIS_PORT", "username": "REDIS_USERNAME", "password": "REDIS_PASSWORD"}


def cache_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Translate `{"type": "redis", "host": …, "ttl": …}`; a type that is not there here is left to be refused.

    As with LiteLLM a Redis that is not named there is the environment's (`REDIS_URL`, or `REDIS_HOST` and so on).
    """
    kind = params.get("type", "local")
    skipped = {*_PLACE, *_IGNORED, *_TTLS.values()}
    settings: dict[str, Any] = {"backend": _BACKENDS.get(kind, kind)}
    settings |= {_RENAMED.get(name, name): value for name, value in params.items() if name not in skipped}
    if (ttl := params.get(_TTLS.get(kind, ""))) is not None:
        settings.setdefault("default_ttl", ttl)
    if kind == "disk" and params.get("disk_cache_dir"):
        settings["path"] = f"{params['disk_cache_dir']}/cache.sqlite3"
    if kind == "redis" and not settings.get("redis_url"):
        settings |= _redis(params)
    return {name: value for name, value in settings.items() if value is not None}


def _redis(params: Mapping[str, Any]) -> dict[str, Any]:
    place = {name: params.get(name) or os.environ.get(variable) for name, variable in _VARIABLES.items()}
    if url := os.environ.get("REDIS_URL"):
        return {"redis_url": url}
    if not place["host"]:
        log.warning("cache_params: no Redis is named (url, host, REDIS_URL or REDIS_HOST): memory is the cache")
        return {"backend": "memory"}
    scheme = "rediss" if str(params.get("ssl")).lower() == "true" else "redis"
    user, password = (quote(str(place[name] or ""), safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if user or password else ""
    return {"redis_url": f"{scheme}://{login}{place['host']}:{place['port'] or 6379}/{params.get('db') or 0}"}
