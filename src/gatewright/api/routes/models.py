"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from gatewright.api.exchange import Exchange
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["Models"]


class Models:
    """Names the models that can be asked for; wildcards stand as they are configured."""

    def __init__(self, gateway: LiteLLMGateway) -> None:
        self._gateway = gateway
        self._created = int(time.time())

    async def list(self, exchange: Exchange) -> None:
        """Give all of them, the defaults too."""
        config = self._gateway.config
        defaults = (config.default_model, config.default_embedding_model)
        names = dict.fromkeys([*self._gateway.models(), *(name for name in defaults if name)])
        listed = {"object": "list", "data": [self._model(name) for name in names]}
        await exchange.answer(msgspec.json.encode(listed), [])

    async def retrieve(self, exchange: Exchange) -> None:
        """Give one; `NotFound` names the nearest that there is."""
        await exchange.answer(msgspec.json.encode(self._model(exchange.path_params["model"])), [])

    def _model(self, name: str) -> dict[str, Any]:
        owner = self._gateway.deployments(name)[0].provider
        return {"id": name, "object": "model", "created": self._created, "owned_by": owner}
