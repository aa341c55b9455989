"""`GET /health/liveliness`, `GET /health/readiness` and `GET /`: for whatever watches the server, without a key."""

from __future__ import annotations

import msgspec

from gatewright.api.errors import error_json
from gatewright.api.exchange import Exchange
from gatewright.errors import GatewayClosed
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["Health"]

_ALIVE = msgspec.json.encode({"status": "alive"})
_READY = msgspec.json.encode({"status": "ready"})
_NOT_READY = error_json(GatewayClosed("the gateway is closed"))
_INDEX = msgspec.json.encode(
    {
        "name": "gatewright",
        "routes": [
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/v1/models",
            "/health/liveliness",
            "/health/readiness",
        ],
    }
)


class Health:
    """Says whether the process runs, and whether it takes calls."""

    def __init__(self, gateway: LiteLLMGateway) -> None:
        self._gateway = gateway

    async def alive(self, exchange: Exchange) -> None:
        """Answer at all."""
        await exchange.answer(_ALIVE, [])

    async def ready(self, exchange: Exchange) -> None:
        """Answer 503 once the gateway is closed."""
        if self._gateway.closed:
            await exchange.answer(_NOT_READY, [], GatewayClosed.status)
        else:
            await exchange.answer(_READY, [])

    async def index(self, exchange: Exchange) -> None:
        """Say what this is and where to go."""
        await exchange.answer(_INDEX, [])
