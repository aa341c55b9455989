"""Where a cache keeps its values, for how long, and how many."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from gatewright.errors import ConfigurationError
from gatewright.types.configuration import Config, mapping

__all__ = ["MAX_TTL", "CacheConfig"]

MAX_TTL = 10 * 365 * 24 * 3600.0
"""Ten years of seconds: what is longer is a slip."""
MIB = 1024 * 1024


class CacheConfig(Config):
    """Times are seconds. `backend` is `memory`, `file` (an SQLite file at `path`) or `redis` (at `redis_url`).

    Before a file or a Redis, memory keeps what was used for `memory_ttl` seconds, so that it is soon noticed when
    another process replaces or invalidates it; 0 has every question go to the store. `max_entries` and `max_bytes`
    bound the memory, and the file. An answer that expired less than `stale_while_revalidate` seconds ago is still given
    while one call fetches it anew; one that expired less than `stale_if_error` seconds ago where asking anew fails.
    `answer_streams` has a stream answered from a whole answer that is stored.
    """

    backend: Literal["memory", "file", "redis"] = "memory"
    path: str | None = None
    redis_url: SecretStr | None = None
    redis_namespace: str = Field(default="gatewright", min_length=1)
    default_ttl: float = Field(default=3600.0, gt=0, le=MAX_TTL)
    memory_ttl: float = Field(default=5.0, ge=0, le=MAX_TTL)
    max_entries: int = Field(default=100_000, ge=1)
    max_bytes: int = Field(default=256 * MIB, ge=MIB)
    max_value_bytes: int = Field(default=8 * MIB, ge=1)
    stale_while_revalidate: float = Field(default=0.0, ge=0, le=MAX_TTL)
    stale_if_error: float = Field(default=0.0, ge=0, le=MAX_TTL)
    answer_streams: bool = False
    compute_timeout: float = Field(default=60.0, gt=0, le=3600)

    @model_validator(mode="before")
    @classmethod
    def _by_place(cls, values: Any) -> Any:
        """Take `memory`, `file:///path` or a Redis URL for the whole, and choose the backend that a place implies."""
        if isinstance(values, str):
            values = _named(values)
        given = mapping(values)
        if given is None or "backend" in given:
            return values
        implied = "redis" if given.get("redis_url") else "file" if given.get("path") else "memory"
        return {**given, "backend": implied}

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.backend == "redis" and self.redis_url is None:
            raise ValueError("a redis_url, where the backend is redis")
        if self.redis_url is not None:
            _check_address(self.redis_url.get_secret_value())
        return self


def _check_address(url: str) -> None:
    from gatewright.storage.redis.address import RedisAddress

    try:
        RedisAddress.parse(url)
    except ConfigurationError as error:
        raise ValueError(error.message) from None


def _named(text: str) -> dict[str, Any]:
    if text.startswith("file://"):
        return {"backend": "file", "path": text.removeprefix("file://")}
    return {"backend": "redis", "redis_url": text} if "://" in text else {"backend": text}
