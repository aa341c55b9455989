"""Whole answers in OpenAI's JSON."""

from __future__ import annotations

import sys
import time
from array import array
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gatewright.types.responses import EmbedResponse, GenerateResponse
from gatewright.types.results import Choice, ToolCall
from gatewright.types.usage import Usage

__all__ = ["answer_id", "chat_json", "completion_json", "embeddings_json", "usage_json"]

Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode


def chat_json(response: GenerateResponse) -> bytes:
    """Give a `chat.completion`."""
    return _whole(response, "chat.completion", "chatcmpl-", [_chat_choice(choice) for choice in response.choices])


def completion_json(response: GenerateResponse) -> bytes:
    """Give a `text_completion`, the legacy kind."""
    return _whole(response, "text_completion", "cmpl-", [_text_choice(choice) for choice in response.choices])


def _whole(response: GenerateResponse, kind: str, prefix: str, choices: list[Json]) -> bytes:
    body: Json = {
        "id": response.id or answer_id(prefix, response.request_id),
        "object": kind,
        "created": response.created or int(time.time()),
        "model": response.model,
        "choices": choices,
        "usage": usage_json(response.usage),
    }
    if response.system_fingerprint is not None:
        body["system_fingerprint"] = response.system_fingerprint
    return _encode(body)


def answer_id(prefix: str, request_id: str) -> str:
    """Make an id for an answer whose provider gave it none."""
    return prefix + request_id.removeprefix("req_")


def _chat_choice(choice: Choice) -> Json:
    return {
        "index": choice.index,
        "message": _message(choice),
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason or "stop",
    }


def _message(choice: Choice) -> Json:
    message: Json = dict(choice.extra) if choice.extra else {}
    message["role"] = "assistant"
    # OpenAI's content is null where the model says something else than text.
    message["content"] = choice.text or (None if choice.tool_calls or choice.refusal or choice.audio else "")
    message["refusal"] = choice.refusal
    if choice.reasoning is not None:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [_tool_call(tool) for tool in choice.tool_calls]
    if choice.audio is not None:
        message["audio"] = choice.audio
    return message


def _tool_call(tool: ToolCall) -> Json:
    return {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": tool.arguments}}


def _text_choice(choice: Choice) -> Json:
    return {
        "text": choice.text,
        "index": choice.index,
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason or "stop",
    }


def usage_json(usage: Usage) -> Json:
    """Give token counts as OpenAI nests them."""
    prompt_details = {"cached_tokens": usage.cached_tokens}
    if usage.cache_write_tokens:
        prompt_details["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def embeddings_json(response: EmbedResponse, *, base64: bool) -> bytes:
    """Give a list of embeddings: as numbers, or as the base64 of little-endian 32-bit floats."""
    written = _base64 if base64 else _numbers
    return _encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": place, "embedding": written(vector)}
                for place, vector in enumerate(response.embeddings)
            ],
            "model": response.model,
            "usage": {"prompt_tokens": response.usage.prompt_tokens, "total_tokens": response.usage.total_tokens},
        }
    )


def _numbers(vector: Sequence[float]) -> Sequence[float]:
    return vector if isinstance(vector, list | tuple) else list(vector)


def _base64(vector: Iterable[float]) -> str:
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b2a_base64(floats.tobytes(), newline=False).decode()
