"""litellm's streams as ours."""

from __future__ import annotations

from typing import Any

from gatewright.errors import InvalidProviderResponse
from gatewright.providers.litellm.answers import extra_of, finish_reason_of, plain, usage_of
from gatewright.types.results import Chunk, ToolCallDelta

__all__ = ["check_finished", "chunks_of_part", "close_stream"]


def chunks_of_part(part: Any, stream: Any) -> list[Chunk]:
    """Give one part of litellm's `stream` as chunks: one a choice, and the usage wherever it comes."""
    usage = getattr(part, "usage", None)
    counted = usage_of(usage, estimated=not _reported(stream)) if usage is not None else None
    chunks = [_chunk(choice, part) for choice in part.choices]
    if counted is not None:
        chunks.append(Chunk(usage=counted, model=part.model, id=part.id, created=part.created))
    return [chunk for chunk in chunks if chunk is not None]


def check_finished(stream: Any) -> None:
    """Raise where the provider's stream broke off: litellm would make up a reason to stop."""
    inner = _inner(stream)
    if inner.received_finish_reason is None and inner.intermittent_finish_reason is None:
        raise InvalidProviderResponse("the stream ended before the answer did")


async def close_stream(stream: Any) -> None:
    """Close the provider's connection, which ends a generation that is still under way."""
    await _inner(stream).aclose()


def _chunk(choice: Any, part: Any) -> Chunk | None:
    delta = getattr(choice, "delta", None)
    reason = finish_reason_of(choice.finish_reason)
    if delta is None:
        return _text_chunk(choice, part, reason)
    tools = getattr(delta, "tool_calls", None)
    logprobs = getattr(choice, "logprobs", None)
    audio = getattr(delta, "audio", None)
    return Chunk(
        text=delta.content or "",
        index=choice.index,
        finish_reason=reason,
        tool_calls=tuple(_tool_delta(tool) for tool in tools) if tools else (),
        reasoning=getattr(delta, "reasoning_content", None),
        refusal=getattr(delta, "refusal", None),
        logprobs=plain(logprobs) if logprobs is not None else None,
        audio=plain(audio) if audio is not None else None,
        extra=extra_of(delta),
        model=part.model,
        id=part.id,
        created=part.created,
        system_fingerprint=part.system_fingerprint,
    )


def _text_chunk(choice: Any, part: Any, reason: str | None) -> Chunk:
    return Chunk(
        text=choice.text or "",
        index=choice.index,
        finish_reason=reason,
        model=part.model,
        id=part.id,
        created=part.created,
    )


def _tool_delta(tool: Any) -> ToolCallDelta:
    function = tool.function
    return ToolCallDelta(index=tool.index, id=tool.id, name=function.name, arguments=function.arguments or "")


def _reported(stream: Any) -> bool:
    """Say whether the provider sent usage; where it did not, litellm counted tokens itself."""
    return any(getattr(part, "usage", None) is not None for part in reversed(_inner(stream).chunks))


def _inner(stream: Any) -> Any:
    """Give the stream of chat chunks that a stream of legacy completions wraps."""
    return stream if hasattr(stream, "received_finish_reason") else stream.completion_stream
