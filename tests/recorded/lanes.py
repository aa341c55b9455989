"""The lanes as the tests ask them: a deployment and a call made of what was recorded."""

from __future__ import annotations

import time
from typing import Any

from pydantic import SecretStr

from gatewright.pipeline.call import Call, new_id
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest, Request
from recorded.exchanges import Exchange

# litellm's names of the recorded providers. Vertex is replayed as Gemini: the format is the same, and litellm's
# Vertex needs Google's own package for its sign-in.
LITELLM_NAMES = {
    "azure_openai": "azure",
    "bedrock": "bedrock",
    "cohere": "cohere_chat",
    "ollama": "ollama_chat",
    "together": "together_ai",
    "vertex": "gemini",
}
DIRECT_NAMES = {
    "azure_openai": "azure",
    "together": "together_ai",
    "azure_ai": "openai_compatible",
    "gemini": "openai_compatible",
    "bedrock": "openai_compatible",
}
# What the OpenAI-compatible interface of a provider with a native one is called.
COMPATIBLE = {"gemini": "openai", "bedrock": "openai", "ollama": "openai", "huggingface": "openai"}
SECRET = "sk-recorded-0123456789abcdef"
_AWS = {"aws_access_key_id": "AKIA0", "aws_secret_access_key": "secret", "aws_region_name": "us-east-1"}
_TOOL = {
    "type": "function",
    "function": {"name": "any", "description": "Any tool.", "parameters": {"type": "object", "properties": {}}},
}
_OWN = frozenset({"messages", "model", "stream", "prompt", "input", "stream_options"})


def call_of(exchange: Exchange) -> Call:
    """Give the call that asks for the exchange again."""
    return Call(request=_request(exchange), id=new_id(), started_at=time.monotonic(), stream=exchange.stream)


def litellm_deployment(exchange: Exchange, url: str) -> Deployment:
    """Give the deployment that litellm asks at the local server."""
    provider = LITELLM_NAMES.get(exchange.provider, exchange.provider)
    settings: dict[str, Any] = {}
    model = exchange.model
    if exchange.format.startswith("openai"):
        provider = COMPATIBLE.get(exchange.provider, provider)
    elif exchange.provider == "bedrock":
        settings = {**_AWS, "aws_bedrock_runtime_endpoint": url}
        model = _bedrock_model(exchange)
    elif exchange.format == "cohere_embeddings":
        provider = "cohere"
    if provider == "azure":
        settings = {"api_version": "2024-06-01"}
    return _deployment(exchange, provider, model, url + _root(provider), settings)


def direct_deployment(exchange: Exchange, url: str) -> Deployment:
    """Give the deployment that the direct lane asks at the local server."""
    provider = DIRECT_NAMES.get(exchange.provider, exchange.provider)
    settings = {"api_version": "2024-06-01"} if provider == "azure" else {}
    return _deployment(exchange, provider, exchange.model, url, settings)


def _deployment(exchange: Exchange, provider: str, model: str, url: str, settings: dict[str, Any]) -> Deployment:
    return Deployment(
        id=exchange.key,
        group="recorded",
        provider=provider,
        model=model,
        base_url=url,
        api_key=SecretStr(SECRET),
        timeout=20.0,
        settings=settings,
    )


def _bedrock_model(exchange: Exchange) -> str:
    """Give litellm's name: its prefix chooses the interface, and embedding models it only knows by their versions."""
    if exchange.format != "invoke_embeddings":
        return f"{exchange.format}/{exchange.model}"
    return exchange.model if "titan" not in exchange.model or "v1" in exchange.model else f"{exchange.model}:0"


def _root(provider: str) -> str:
    """Give what litellm wants the base URL of a provider to have beyond its host."""
    return {"cohere_chat": "/v2/chat", "cohere": "/v2/embed", "anthropic": "/v1/messages"}.get(provider, "")


def _request(exchange: Exchange) -> Request:
    body = exchange.request if isinstance(exchange.request, dict) else {}
    params = {name: value for name, value in body.items() if name not in _OWN and value is not None}
    match exchange.format:
        case "openai_chat":
            return GenerateRequest(model=exchange.model, messages=body["messages"], params=params)
        case "openai_text":
            return GenerateRequest(model=exchange.model, style="text", prompt=body["prompt"], params=params)
        case "openai_embeddings":
            inputs = body["input"]
            return EmbedRequest(
                model=exchange.model, inputs=[inputs] if isinstance(inputs, str) else inputs, params=params
            )
        case "invoke_embeddings":
            return EmbedRequest(model=exchange.model, inputs=body.get("texts") or ["text"])
        case "gemini_embeddings":
            return EmbedRequest(model=exchange.model, inputs=["text"] * len(body["requests"]))
        case "cohere_embeddings":
            return EmbedRequest(model=exchange.model, inputs=body.get("texts") or ["text"])
        case _:
            tools = {"tools": [_TOOL]} if exchange.tools else {}
            return GenerateRequest(model=exchange.model, messages=[{"role": "user", "content": "Hello"}], params=tools)
