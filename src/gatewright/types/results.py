"""What is answered inside the pipeline: whole answers, and the chunks that add up to them.

They are plain data that nothing in them refers back to, so Python's collector of cycles need not look at them
(`gc=False`); thousands of them are there at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from gatewright.types.usage import NO_USAGE, Usage

__all__ = [
    "Answer",
    "Choice",
    "Chunk",
    "Dumpable",
    "Embeddings",
    "FinishReason",
    "ToolCall",
    "ToolCallDelta",
    "lazy_json",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why the model stopped, in OpenAI's four words; whatever else a provider says is translated to one of them."""


class Dumpable(Protocol):
    """A provider library's own answer, which can be given as plain data."""

    def model_dump(self) -> dict[str, Any]:
        """Give the answer as dicts and lists."""
        ...


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call of a tool that the model asks for; `arguments` is the JSON text that it wrote."""

    id: str
    name: str
    arguments: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of the tool call number `index`; `arguments` parts are to be joined, the others come once."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of the `n` answers."""

    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    refusal: str | None = None
    logprobs: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None
    """What the provider's message has beside these, such as `thinking_blocks` or `annotations`."""
    warnings: tuple[str, ...] = ()
    """What guardrails found in it and let through, redacted or not."""


class Answer(msgspec.Struct, kw_only=True, gc=False):
    """A whole answer: its choices, and where they came from.

    `raw` is the provider's JSON as bytes, or litellm's own answer: decoded when asked for only. `saved_usd` is what one
    that is shared with another call would have cost.
    """

    choices: Sequence[Choice]
    model: str
    provider: str
    deployment_id: str = ""
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    saved_usd: float | None = None
    id: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    raw: bytes | dict[str, Any] | Dumpable | None = None


class Chunk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of an answer: the new text of the choice `index`, and whatever else came with it.

    `usage` comes at most once, usually in the last chunk. `raw` is the provider's event, undecoded.
    """

    text: str = ""
    index: int = 0
    finish_reason: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str | None = None
    refusal: str | None = None
    logprobs: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    warnings: tuple[str, ...] = ()
    raw: bytes | dict[str, Any] | None = None


class Embeddings(msgspec.Struct, kw_only=True, gc=False):
    """Vectors of unit length, one for each input, in the inputs' order."""

    vectors: Sequence[Sequence[float]]
    model: str
    provider: str
    deployment_id: str = ""
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    saved_usd: float | None = None


def lazy_json(raw: bytes | dict[str, Any] | Dumpable | None) -> Any:
    """Give a `raw` value decoded; None stays None."""
    if isinstance(raw, bytes):
        return msgspec.json.decode(raw)
    return raw if raw is None or isinstance(raw, dict) else raw.model_dump()
