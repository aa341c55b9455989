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

__all__ = [
    "EmbedResponse",
    "GatewayConfig",
    "GenerateResponse",
    "GenerateStream",
    "LiteLLMGateway",
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
