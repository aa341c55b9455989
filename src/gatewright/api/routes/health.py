"""`GET /health…` and `GET /`: for whatever watches the server; what tells of its providers needs the key."""

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
            "/v1/feedback",
            "/v1/feedback/insights",
            "/v1/feedback/stats",
            "/v1/llmops/metrics",
            "/v1/llmops/costs",
            "/v1/llmops/series",
            "/health",
            "/health/limits",
            "/health/liveliness",
            "/health/readiness",
        ],
    }
)


class Health:
    """Says whether the process runs, whether it takes calls, and how well the providers answer them."""

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

    async def report(self, exchange: Exchange) -> None:
        """Give what `get_health` gives: the health of providers, deployments, queues and stores."""
        await exchange.answer(msgspec.json.encode(await self._gateway.get_health()), [])

    async def limits(self, exchange: Exchange) -> None:
        """Give what is left of every limit in use, who waits at which place for how long, and each breaker."""
        gateway = self._gateway
        queue = gateway.queue_status()
        by_tenant: dict[str | None, int] = {tenant or "": waiting for tenant, waiting in queue.by_tenant.items()}
        shown = {
            "limits": gateway.rate_limits(),
            "queue": msgspec.structs.replace(queue, by_tenant=by_tenant),  # JSON has no key for "no tenant" but this
            "circuit_breakers": gateway.circuit_breakers(),
        }
        await exchange.answer(msgspec.json.encode(shown), [])

    async def index(self, exchange: Exchange) -> None:
        """Say what this is and where to go."""
        await exchange.answer(_INDEX, [])
