"""A deployment: one model at one provider, with its key, its limits and its weight."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from pydantic import SecretStr

from gatewright.types.usage import Price

__all__ = ["Deployment", "Lane"]

Lane = Literal["auto", "direct", "litellm"]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the model list, resolved: `group` is the name that callers ask for, `model` the provider's own.

    `timeout` is seconds for one attempt, `rpm` and `tpm` are per minute, `params` are sent with every request
    unless the caller says otherwise, `settings` are the provider's own (an Azure `api_version`, a simulator's
    latency). A smaller `order` is asked first.
    """

    id: str
    group: str
    provider: str
    model: str
    lane: Lane = "auto"
    base_url: str | None = None
    api_key: SecretStr | None = None
    headers: dict[str, str] = {}
    timeout: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    weight: float = 1.0
    order: int = 0
    params: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    price: Price | None = None
    http2: bool = False

    def __repr__(self) -> str:
        # Headers may hold secrets too.
        return f"<Deployment {self.id}: {self.provider}/{self.model}>"

    @property
    def secret(self) -> str | None:
        """The key in clear, for the wire only."""
        return self.api_key.get_secret_value() if self.api_key is not None else None
