"""Where it is put together: configuration, assembly, the gateway, and plain functions over it."""

from gatewright.configuration.config import GatewayConfig, configure_gateway
from gatewright.gateway.factory import create_gateway
from gatewright.gateway.functions import (
    batch_generate,
    batch_generate_async,
    generate_embeddings,
    generate_embeddings_async,
    generate_text,
    generate_text_async,
    stream_text,
)
from gatewright.gateway.gateway import LiteLLMGateway
from gatewright.gateway.streams import GenerateStream
from gatewright.types.responses import EmbedResponse, GenerateResponse

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
