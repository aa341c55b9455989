"""The gateway, by the SDK's path."""

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
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.rate_limiter.config import RateLimitConfig

__all__ = [
    "BatchingConfig",
    "CircuitBreakerConfig",
    "DeduplicationConfig",
    "EmbedResponse",
    "GatewayConfig",
    "GenerateResponse",
    "GenerateStream",
    "LiteLLMGateway",
    "RateLimitConfig",
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
