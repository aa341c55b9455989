"""`POST /v1/completions`: text to be continued, the legacy kind."""

from __future__ import annotations

from typing import Any, cast

from gatewright.api.body import parameters, read_body, streaming, take_model, tenant_of
from gatewright.api.events import CompletionEvents
from gatewright.api.exchange import Exchange
from gatewright.api.headers import answer_headers
from gatewright.api.sse import send_stream
from gatewright.api.tokens import is_tokens
from gatewright.api.watch import Watch
from gatewright.api.wire import completion_json
from gatewright.errors import BadRequest
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["Completions"]


class Completions:
    """Continues texts, whole or streamed."""

    def __init__(self, gateway: LiteLLMGateway, max_body_bytes: int) -> None:
        self._gateway = gateway
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange) -> None:
        """Continue one prompt, or each of several."""
        body = await read_body(exchange, self._max_body_bytes)
        model, prompt = take_model(body), _prompt(body)
        stream, usage = streaming(body)
        params, tenant = parameters(body, "messages"), tenant_of(exchange)
        async with Watch(exchange):
            if stream:
                chunks = self._gateway.complete_stream(prompt, model, tenant, **params)
                await send_stream(exchange, chunks, CompletionEvents, usage=usage)
                return
            response = await self._gateway.complete_async(prompt, model, tenant, **params)
            await exchange.answer(completion_json(response), answer_headers(response))


def _prompt(body: dict[str, Any]) -> Any:
    """Take the prompt: a text, a list of texts, tokens, or a list of tokens."""
    prompt = body.pop("prompt", None)
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt:
        parts = cast("list[Any]", prompt)
        if is_tokens(parts) or all(isinstance(one, str) for one in parts) or all(is_tokens(one) for one in parts):
            return parts
    raise BadRequest("prompt: expected a text, a list of texts, or tokens", param="prompt")
