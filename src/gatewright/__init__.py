"""Gatewright: one gateway to every large language model, embedded or served."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gatewright.errors import GatewayError
    from gatewright.gateway import (
        EmbedResponse,
        GatewayConfig,
        GenerateResponse,
        GenerateStream,
        LiteLLMGateway,
        batch_generate,
        batch_generate_async,
        configure_gateway,
        create_gateway,
        generate_embeddings,
        generate_embeddings_async,
        generate_text,
        generate_text_async,
        stream_text,
    )
    from gatewright.layers.batching.config import BatchingConfig
    from gatewright.layers.cache import CacheConfig, CacheMechanism
    from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
    from gatewright.layers.deduplication.config import DeduplicationConfig
    from gatewright.layers.rate_limiter.config import RateLimitConfig
    from gatewright.types.usage import Usage

__all__ = [
    "BatchingConfig",
    "CacheConfig",
    "CacheMechanism",
    "CircuitBreakerConfig",
    "DeduplicationConfig",
    "EmbedResponse",
    "GatewayConfig",
    "GatewayError",
    "GenerateResponse",
    "GenerateStream",
    "LiteLLMGateway",
    "RateLimitConfig",
    "Usage",
    "batch_generate",
    "batch_generate_async",
    "configure_gateway",
    "create_gateway",
    "generate_embeddings",
    "generate_embeddings_async",
    "generate_text",
    "generate_text_async",
    "stream_text",
]

_HOMES = {
    "BatchingConfig": "gatewright.layers.batching.config",
    "CacheConfig": "gatewright.layers.cache",
    "CacheMechanism": "gatewright.layers.cache",
    "CircuitBreakerConfig": "gatewright.layers.circuit_breaker.config",
    "DeduplicationConfig": "gatewright.layers.deduplication.config",
    "GatewayError": "gatewright.errors",
    "RateLimitConfig": "gatewright.layers.rate_limiter.config",
    "Usage": "gatewright.types.usage",
}


def __getattr__(name: str) -> Any:
    # Names are imported when they are asked for, so that `import gatewright` costs next to nothing.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "gatewright.gateway")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
