"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Any

from gatewright.api.body import parameters, read_body, streaming, take_model, tenant_of
from gatewright.api.events import ChatEvents
from gatewright.api.exchange import Exchange
from gatewright.api.headers import answer_headers
from gatewright.api.sse import send_stream
from gatewright.api.watch import Watch
from gatewright.api.wire import chat_json
from gatewright.errors import BadRequest
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["ChatCompletions"]


class ChatCompletions:
    """Answers chats, whole or streamed."""

    def __init__(self, gateway: LiteLLMGateway, max_body_bytes: int) -> None:
        self._gateway = gateway
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one."""
        body = await read_body(exchange, self._max_body_bytes)
        model, messages = take_model(body), _messages(body)
        stream, usage = streaming(body)
        params, tenant = parameters(body, "prompt"), tenant_of(exchange)
        async with Watch(exchange):
            if stream:
                chunks = self._gateway.generate_stream(None, model, messages, tenant, **params)
                await send_stream(exchange, chunks, ChatEvents, usage=usage)
                return
            response = await self._gateway.generate_async(None, model, messages, tenant, **params)
            await exchange.answer(chat_json(response), answer_headers(response))


def _messages(body: dict[str, Any]) -> list[Any]:
    messages = body.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list of at least one message", param="messages")
    return messages  # pyright: ignore[reportUnknownVariableType]
