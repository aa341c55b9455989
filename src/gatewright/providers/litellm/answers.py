"""litellm's whole answers as ours."""

from __future__ import annotations

import binascii
import sys
from array import array
from typing import Any, cast

import msgspec

from gatewright.errors import InvalidProviderResponse
from gatewright.providers.litellm.counts import tier_of, usage_of
from gatewright.types.deployment import Deployment
from gatewright.types.results import Answer, Choice, Embeddings, ToolCall
from gatewright.types.usage import cost_of

__all__ = ["answer_of", "embeddings_of", "extra_of", "finish_reason_of", "is_hosted_tool", "plain"]

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "safety": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
}
# Anthropic's ids of the tools that run on its own servers.
_HOSTED_TOOLS = "srvtoolu_"
_EXTRA_FIELDS = ("thinking_blocks", "annotations", "images", "function_call")
# litellm says "stop" whatever these say.
_REASONS_UNREAD = frozenset({"cohere", "cohere_chat"})
# What the fields of the message itself say again.
_REPEATED_FIELDS = frozenset({"refusal", "reasoning", "reasoning_content", "thinking_blocks"})


def answer_of(response: Any, deployment: Deployment, *, style: str, began: float | None = None) -> Answer:
    """Give a `ModelResponse` or `TextCompletionResponse` as an answer; `raw` is the response, not yet converted."""
    if not response.choices:
        raise InvalidProviderResponse("the provider's answer has no choices")
    make = _choice if style == "chat" else _text_choice
    choices = [make(choice) for choice in response.choices]
    if deployment.provider in _REASONS_UNREAD:
        choices = [_with_reason(choice) for choice in choices]
    usage = usage_of(getattr(response, "usage", None), tier=tier_of(response))
    return Answer(
        choices=choices,
        model=response.model or deployment.model,
        provider=deployment.provider,
        deployment_id=deployment.id,
        usage=usage,
        cost_usd=cost_of(usage, deployment.price, began),
        id=response.id,
        created=response.created,
        system_fingerprint=getattr(response, "system_fingerprint", None),
        raw=response,
    )


def embeddings_of(response: Any, deployment: Deployment, expected: int, *, began: float | None = None) -> Embeddings:
    """Give an `EmbeddingResponse` as vectors in the inputs' order."""
    data = [plain(item) for item in response.data or ()]
    if len(data) != expected:
        raise InvalidProviderResponse(f"{expected} vectors were asked for and {len(data)} came")
    data.sort(key=lambda item: item.get("index") or 0)
    vectors = [_vector(item.get("embedding")) for item in data]
    usage = usage_of(response.usage, estimated=_counted_by_litellm(deployment))
    return Embeddings(
        vectors=vectors,
        model=response.model or deployment.model,
        provider=deployment.provider,
        deployment_id=deployment.id,
        usage=usage,
        cost_usd=cost_of(usage, deployment.price, began),
    )


def _counted_by_litellm(deployment: Deployment) -> bool:
    """Say whether a provider's embeddings come without usage, so that litellm counts the tokens itself."""
    return deployment.provider == "gemini" or (deployment.provider == "bedrock" and "cohere" in deployment.model)


def finish_reason_of(reason: str | None) -> str | None:
    """Give the reason in OpenAI's words; one that is not known here ended the answer all the same."""
    return None if reason is None else _FINISH_REASONS.get(reason, "stop")


def extra_of(message: Any) -> dict[str, Any] | None:
    """Give what a message or delta has beside the fields that every provider has; None if there is nothing."""
    extra: dict[str, Any] | None = None
    for name in _EXTRA_FIELDS:
        value = getattr(message, name, None)
        if value:
            extra = extra or {}
            extra[name] = plain(value)
    for name, value in _specific(message).items():
        if value is not None and name not in _REPEATED_FIELDS:
            extra = extra or {}
            extra.setdefault(name, plain(value))
    return extra


def plain(value: Any) -> Any:
    """Give a value of litellm's classes as dicts and lists."""
    if isinstance(value, list):
        return [plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value.model_dump() if hasattr(value, "model_dump") else value


def _specific(message: Any) -> dict[str, Any]:
    return getattr(message, "provider_specific_fields", None) or {}


def _choice(choice: Any) -> Choice:
    message = choice.message
    logprobs = choice.logprobs if hasattr(choice, "logprobs") else None
    return Choice(
        index=choice.index,
        text=message.content or "",
        finish_reason=finish_reason_of(choice.finish_reason),
        tool_calls=_tool_calls(message.tool_calls) if message.tool_calls else (),
        reasoning=getattr(message, "reasoning_content", None),
        refusal=_specific(message).get("refusal"),
        logprobs=plain(logprobs) if logprobs is not None else None,
        audio=plain(getattr(message, "audio", None)),
        extra=extra_of(message),
    )


def _with_reason(choice: Choice) -> Choice:
    return msgspec.structs.replace(choice, finish_reason="tool_calls") if choice.tool_calls else choice


def is_hosted_tool(tool: Any) -> bool:
    """Say whether the provider ran the tool itself: it is then no call for the caller to answer."""
    return tool.id is not None and tool.id.startswith(_HOSTED_TOOLS)


def _tool_calls(tools: list[Any]) -> tuple[ToolCall, ...]:
    return tuple(_tool_call(tool) for tool in tools if not is_hosted_tool(tool))


def _tool_call(tool: Any) -> ToolCall:
    custom = getattr(tool, "custom", None)
    if custom is not None:
        custom = plain(custom)
        return ToolCall(id=tool.id or "", name=custom["name"], arguments=custom["input"])
    function = tool.function
    return ToolCall(id=tool.id or "", name=function.name or "", arguments=function.arguments or "")


def _text_choice(choice: Any) -> Choice:
    return Choice(
        index=choice.index,
        text=choice.text or "",
        finish_reason=finish_reason_of(choice.finish_reason),
        logprobs=plain(getattr(choice, "logprobs", None)),
    )


def _vector(value: Any) -> list[float]:
    """Give a vector as numbers: as base64 it is 32-bit floats, the lowest byte first."""
    if isinstance(value, list):
        return cast(list[float], value)
    if not isinstance(value, str):
        raise InvalidProviderResponse("an embedding is neither a list of numbers nor base64")
    try:
        floats = array("f", binascii.a2b_base64(value))
    except (binascii.Error, ValueError) as error:
        raise InvalidProviderResponse("an embedding is neither a list of numbers nor base64") from error
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
