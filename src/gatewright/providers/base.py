"""What answers at the end of every attempt."""

from __future__ import annotations

from typing import Any, Protocol

from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply

__all__ = ["Provider"]


class Provider(Protocol):
    """One deployment's provider: a handler of calls.

    A `GenerateRequest` gets a reply of `Chunk`s and an `Answer`, begun at its first chunk where `call.stream`;
    an `EmbedRequest` gets a whole reply of `Embeddings`, of whatever length the provider gave them. Failures
    are `GatewayError`s, with no secret in them.
    """

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer one attempt."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held on the running loop; calls under way are ended first by the gateway."""
        ...
