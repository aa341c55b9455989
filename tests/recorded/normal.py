"""What is compared: the same few facts of an answer, whoever read them from whatever."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.errors import GatewayError
from gatewright.pipeline.reply import Reply
from gatewright.types.results import Answer, Embeddings


class Normal(msgspec.Struct, kw_only=True):
    """An answer's facts: by choice its text, its tool calls (name and arguments) and its finish reason.

    `usage` is (prompt, completion) tokens, None where the provider did not say; `error` the class of the gateway's
    error that the exchange ends in; `vectors` what an embeddings request gave.
    """

    texts: list[str] = []
    tools: list[list[tuple[str, Any]]] = []
    finish: list[str | None] = []
    usage: tuple[int, int] | None = None
    error: str | None = None
    vectors: list[list[float]] | None = None


def arguments(text: Any) -> Any:
    """Give a tool call's arguments parsed; what is no JSON stays as it is."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


async def read(reply: Reply[Any, Any]) -> Normal:
    """Read a reply of a lane to its end, chunk by chunk where it has chunks."""
    async with reply:
        try:
            if not reply.is_whole:
                async for _ in reply:
                    pass
            return of(await reply.value() if reply.is_whole else reply.partial())
        except GatewayError as error:
            normal = of(reply.partial())
            normal.error = type(error).__name__
            return normal


def of(value: Answer | Embeddings) -> Normal:
    """Give a lane's value as the facts that are compared."""
    reported = value.usage.source == "provider" and (value.usage.prompt_tokens or value.usage.completion_tokens)
    usage = (value.usage.prompt_tokens, value.usage.completion_tokens) if reported else None
    if isinstance(value, Embeddings):
        return Normal(vectors=[list(vector) for vector in value.vectors], usage=usage)
    return Normal(
        texts=[choice.text for choice in value.choices],
        tools=[[(tool.name, arguments(tool.arguments)) for tool in choice.tool_calls] for choice in value.choices],
        finish=[choice.finish_reason for choice in value.choices],
        usage=usage,
    )


def alike(one: Normal, other: Normal) -> bool:
    """Say whether two readings agree: vectors in their direction, whatever length and precision they came in."""
    if one.vectors is None or other.vectors is None:
        return one == other
    pairs = list(zip(one.vectors, other.vectors, strict=False))
    same = len(one.vectors) == len(other.vectors) and all(_cosine(a, b) > 0.99999 for a, b in pairs)
    return same and (one.usage, one.error) == (other.usage, other.error)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        return 0.0
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
