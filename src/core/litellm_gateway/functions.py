"""Plain functions over a gateway, by the SDK's path."""

from gatewright.gateway.functions import (
    batch_generate,
    batch_generate_async,
    generate_embeddings,
    generate_embeddings_async,
    generate_text,
    generate_text_async,
    stream_text,
)

__all__ = [
    "batch_generate",
    "batch_generate_async",
    "generate_embeddings",
    "generate_embeddings_async",
    "generate_text",
    "generate_text_async",
    "stream_text",
]
