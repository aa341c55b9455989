"""The shapes of the wire: what is read of a provider's JSON; what is not named here is skipped unread.

Decoding checks the types, so another shape is an error here and nowhere later. The types are as wide as the
providers that say they speak the format have been seen to need. They live for a moment, with nothing in them that
refers back: Python's collector of cycles need not count them (`gc=False`).
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["EmbeddingsBody", "ErrorBody", "EventBody", "WholeBody"]

Json = dict[str, Any]


class FunctionBody(msgspec.Struct, gc=False):
    """A tool call's function; some providers send its arguments as an object."""

    name: str | None = None
    arguments: str | Json | None = None


class ToolBody(msgspec.Struct, gc=False):
    """A tool call, or a part of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionBody | None = None


class MessageBody(msgspec.Struct, gc=False):
    """A message, or a delta of one; `content` is a list of typed parts where a model thinks aloud (Mistral)."""

    content: str | list[Json] | None = None
    tool_calls: list[ToolBody] | None = None
    function_call: FunctionBody | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    audio: Json | None = None
    annotations: list[Json] | None = None
    reasoning_details: list[Json] | None = None
    images: list[Json] | None = None


class ChoiceBody(msgspec.Struct, gc=False):
    """A choice of a whole answer; `text` is that of the legacy completions."""

    index: int = 0
    message: MessageBody | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Json | None = None


class DeltaBody(msgspec.Struct, gc=False):
    """A choice of a chunk; Mistral and some others send a last `message` beside or instead of the `delta`."""

    index: int = 0
    delta: MessageBody | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Json | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Of the prompt's tokens: what was read from the provider's cache and written to it, and what was not text."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    video_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Of the completion's tokens: how many were reasoning, and what was not text."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class UsageBody(msgspec.Struct, gc=False):
    """Token counts; DeepSeek, Mistral and Together have fields of their own for the cache, others for what it cost."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    num_cached_tokens: int | None = None
    cached_tokens: int | None = None
    cost: Any = None
    cost_details: Any = None
    cost_in_usd_ticks: Any = None
    is_byok: Any = None


class GroqBody(msgspec.Struct, gc=False):
    """Where Groq puts the usage of a stream."""

    usage: UsageBody | None = None


class ErrorBody(msgspec.Struct, gc=False):
    """An error as some provider words it: most of them OpenAI's way, some with fields of their own."""

    error: Json | str | None = None
    message: str | Json | None = None
    detail: Any = None
    code: str | int | None = None
    type: str | None = None
    error_type: str | None = None


class WholeBody(msgspec.Struct, gc=False):
    """A whole answer."""

    choices: list[ChoiceBody] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    system_fingerprint: str | None = None
    error: Json | str | None = None


class EventBody(msgspec.Struct, gc=False):
    """One event of a stream; the last may have no choices but the usage."""

    choices: list[DeltaBody] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    usage: UsageBody | None = None
    x_groq: GroqBody | None = None
    service_tier: Any = None
    system_fingerprint: str | None = None
    error: Json | str | None = None


class VectorBody(msgspec.Struct, gc=False):
    """One vector: numbers, or the base64 of little-endian 32-bit floats."""

    embedding: list[float] | str
    index: int | None = None


class EmbeddingsBody(msgspec.Struct, gc=False):
    """The answer to an embeddings request."""

    data: list[VectorBody] | None = None
    model: str | None = None
    usage: UsageBody | None = None
    error: Json | str | None = None
