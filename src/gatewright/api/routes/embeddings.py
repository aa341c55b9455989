"""`POST /v1/embeddings`."""

from __future__ import annotations

from typing import Any, cast

from gatewright.api.body import parameters, read_body, take_model, tenant_of
from gatewright.api.exchange import Exchange
from gatewright.api.headers import answer_headers
from gatewright.api.tokens import is_tokens
from gatewright.api.watch import Watch
from gatewright.api.wire import embeddings_json
from gatewright.errors import BadRequest
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["Embeddings"]


class Embeddings:
    """Gives vectors, as numbers or as base64; which it is, is a matter of this wire and not of the provider's."""

    def __init__(self, gateway: LiteLLMGateway, max_body_bytes: int) -> None:
        self._gateway = gateway
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange) -> None:
        """Give the vectors of one request."""
        body = await read_body(exchange, self._max_body_bytes)
        model, inputs, base64 = take_model(body), _inputs(body), _as_base64(body)
        params, tenant = parameters(body, "texts", "stream"), tenant_of(exchange)
        async with Watch(exchange):
            response = await self._gateway.embed_async(inputs, model, tenant, **params)
            await exchange.answer(embeddings_json(response, base64=base64), answer_headers(response))


def _inputs(body: dict[str, Any]) -> list[Any]:
    """Take the input: a text, tokens, or a list of either."""
    given = body.pop("input", None)
    if isinstance(given, str):
        return [given]
    if is_tokens(given):
        return [given]
    if isinstance(given, list) and given:
        inputs = cast("list[Any]", given)
        for place, one in enumerate(inputs):
            if not (isinstance(one, str) or is_tokens(one)):
                raise BadRequest(f"input[{place}]: expected a text or tokens", param=f"input[{place}]")
        return inputs
    raise BadRequest("input: expected a text, tokens, or a list of at least one", param="input")


def _as_base64(body: dict[str, Any]) -> bool:
    wanted = body.pop("encoding_format", None)
    if wanted not in (None, "float", "base64"):
        raise BadRequest("encoding_format: expected float or base64", param="encoding_format")
    return wanted == "base64"
