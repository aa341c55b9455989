"""Gateways made in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatewright.configuration.config import GatewayConfig
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["create_gateway"]


def create_gateway(
    providers: Sequence[str] | None = None,
    default_model: str | None = None,
    api_keys: Mapping[str, str | None] | None = None,
    fallbacks: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    timeout: float | None = 600.0,
    max_retries: int = 2,
    **config: Any,
) -> LiteLLMGateway:
    """Make a gateway to `providers`, asked by their own model names; `config` are further `GatewayConfig` settings.

    `api_keys` are by provider; where one is missing the provider's usual environment variable is read.
    """
    settings: dict[str, Any] = {
        "providers": providers or [],
        "default_model": default_model,
        "api_keys": api_keys or {},
        "timeout": timeout,
        "max_retries": max_retries,
        "fallbacks": fallbacks or {},
        **config,
    }
    return LiteLLMGateway(config=GatewayConfig(**settings))
