"""The direct lane to one scripted upstream."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from gatewright.pipeline.call import Call, CallOptions
from gatewright.providers.http.base import HttpClient, Timeouts
from gatewright.providers.openai_wire.provider import OpenAIWire
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.usage import Price
from providers.upstream import Upstream

KEY = "sk-test-0123456789abcdef"


class Lane:
    """The direct lane to one upstream."""

    def __init__(self, upstream: Upstream, http: HttpClient) -> None:
        self.upstream = upstream
        self.http = http

    def provider(self, *, timeouts: Timeouts = Timeouts(), drop: bool = False, **fields: Any) -> OpenAIWire:
        deployment = Deployment(
            **{
                "id": "d",
                "group": "g",
                "provider": "openai",
                "model": "gpt-4o",
                "base_url": f"{self.upstream.url}/v1",
                "api_key": SecretStr(KEY),
                "price": Price(input_cost_per_token=0.001, output_cost_per_token=0.002),
                **fields,
            }
        )
        return OpenAIWire(deployment, self.http, drop_unsupported=drop, timeouts=timeouts)

    async def generate(self, *, stream: bool = False, drop: bool | None = None, **more: Any) -> Any:
        """Ask, and read the whole answer; `params` are the caller's, `messages` too, the others the deployment's."""
        params = more.pop("params", {})
        messages = more.pop("messages", [{"role": "user", "content": "hi"}])
        reply = await self.provider(**more)(call(params, messages, stream=stream, drop=drop))
        async with reply:
            return await reply.value()

    async def embed(self, *inputs: Any, params: dict[str, Any] | None = None, **more: Any) -> Any:
        request = EmbedRequest(model="g", inputs=inputs, params=params or {})
        reply = await self.provider(**more)(Call(request=request, id="req_1", started_at=0.0))
        async with reply:
            return await reply.value()


def call(
    params: dict[str, Any] | None = None,
    messages: Any = ({"role": "user", "content": "hi"},),
    *,
    stream: bool = False,
    drop: bool | None = None,
) -> Call:
    return Call(
        request=GenerateRequest(model="g", messages=messages, params=params or {}),
        id="req_1",
        started_at=0.0,
        stream=stream,
        options=CallOptions(drop_params=drop),
    )
