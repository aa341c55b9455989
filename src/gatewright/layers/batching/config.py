"""How long embeddings wait for company."""

from __future__ import annotations

from pydantic import Field

from gatewright.types.configuration import Config

__all__ = ["BatchingConfig"]


class BatchingConfig(Config):
    """Embeddings of one tenant and model that come together are one request, up to the provider's limit.

    A call that comes alone is sent at once. While a request for the same is under way, those that come wait for each
    other for `window` seconds.
    """

    enabled: bool = True
    window: float = Field(default=0.003, ge=0, le=1)
