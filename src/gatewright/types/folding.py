"""Chunks add up to an answer, and an answer can be given as chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatewright.types.results import Answer, Choice, Chunk, ToolCall, ToolCallDelta
from gatewright.types.usage import NO_USAGE, Price, Usage, cost_of

__all__ = ["AnswerFold", "chunks_of"]


class _OpenChoice:
    """A choice that is still growing."""

    __slots__ = ("audio", "extra", "finish_reason", "logprobs", "reasoning", "refusal", "text", "tools", "warnings")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.tools: dict[int, list[Any]] = {}
        self.logprobs: dict[str, Any] | None = None
        self.audio: dict[str, Any] | None = None
        self.extra: dict[str, Any] | None = None
        self.warnings: tuple[str, ...] = ()

    def add_rare(self, chunk: Chunk) -> None:
        if chunk.reasoning:
            self.reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self.refusal.append(chunk.refusal)
        for delta in chunk.tool_calls:
            self._add_tool(delta)
        if chunk.logprobs:
            self.logprobs = _merged(self.logprobs, chunk.logprobs)
        if chunk.audio:
            self.audio = _merged(self.audio, chunk.audio)
        if chunk.extra:
            self.extra = _merged(self.extra, chunk.extra)
        if chunk.warnings:
            self.warnings += chunk.warnings

    def _add_tool(self, delta: ToolCallDelta) -> None:
        tool = self.tools.setdefault(delta.index, [None, None, []])
        tool[0] = tool[0] or delta.id
        tool[1] = tool[1] or delta.name
        tool[2].append(delta.arguments)

    def close(self, index: int) -> Choice:
        tools = [self.tools[position] for position in sorted(self.tools)]
        return Choice(
            index=index,
            text="".join(self.text),
            finish_reason=self.finish_reason,
            tool_calls=tuple(
                ToolCall(id=id_ or f"call_{place}", name=name or "", arguments="".join(parts))
                for place, (id_, name, parts) in enumerate(tools)
            ),
            reasoning="".join(self.reasoning) or None,
            refusal="".join(self.refusal) or None,
            logprobs=self.logprobs,
            audio=self.audio,
            extra=self.extra,
            warnings=self.warnings,
        )


def _merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Join two deltas key by key: lists and strings grow, everything else is replaced."""
    if old is None:
        return new
    joined = dict(old)
    for key, value in new.items():
        before = joined.get(key)
        if isinstance(before, list) and isinstance(value, list):
            joined[key] = [*before, *value]
        elif isinstance(before, str) and isinstance(value, str) and key not in {"id", "type", "format"}:
            joined[key] = before + value
        elif value is not None:
            joined[key] = value
    return joined


class AnswerFold:
    """Adds chunks up; `value` can be asked for at any time and gives what has come so far.

    `began` is the monotonic time at which the provider was asked, for prices by the second.
    """

    __slots__ = ("_began", "_choices", "_context", "_first", "_model", "_price", "usage")

    def __init__(
        self,
        *,
        model: str,
        provider: str,
        deployment_id: str = "",
        price: Price | None = None,
        began: float | None = None,
    ) -> None:
        self._context = (provider, deployment_id)
        self._price = price
        self._began = began
        self._model = model
        self._choices: dict[int, _OpenChoice] = {}
        self._first: Chunk | None = None
        self.usage: Usage | None = None

    def add(self, chunk: Chunk) -> None:
        """Add one chunk."""
        if self._first is None:
            self._first = chunk
        choice = self._choices.get(chunk.index)
        if choice is None:
            choice = self._choices[chunk.index] = _OpenChoice()
        if chunk.text:
            choice.text.append(chunk.text)
            # Nearly every chunk has nothing else.
            if (
                chunk.finish_reason is None
                and chunk.usage is None
                and chunk.logprobs is None
                and chunk.reasoning is None
                and not chunk.tool_calls
                and chunk.extra is None
                and chunk.refusal is None
                and chunk.audio is None
                and not chunk.warnings
            ):
                return
        if chunk.finish_reason is not None:
            choice.finish_reason = chunk.finish_reason
        if chunk.usage is not None:
            self.usage = chunk.usage
        choice.add_rare(chunk)

    @property
    def text(self) -> str:
        """The first choice's text so far."""
        first = self._choices.get(0)
        return "".join(first.text) if first else ""

    def tool_indexes(self, choice: int) -> list[int]:
        """Give the indexes of a choice's tool calls, in their order; a provider's may leave some out."""
        return sorted(self._choices[choice].tools) if choice in self._choices else []

    def value(self) -> Answer:
        """Give the answer that the chunks so far add up to."""
        first = self._first or Chunk()
        usage = self.usage or NO_USAGE
        return Answer(
            choices=[self._choices[index].close(index) for index in sorted(self._choices)] or [Choice()],
            model=first.model or self._model,
            provider=self._context[0],
            deployment_id=self._context[1],
            usage=usage,
            cost_usd=None if self.usage is None else cost_of(usage, self._price, self._began),
            id=first.id,
            created=first.created,
            system_fingerprint=first.system_fingerprint,
        )


def chunks_of(answer: Answer) -> Iterator[Chunk]:
    """Give an answer as chunks that add up to it: one for each choice, the usage in the last."""
    last = len(answer.choices) - 1
    for place, choice in enumerate(answer.choices):
        yield Chunk(
            text=choice.text,
            index=choice.index,
            finish_reason=choice.finish_reason,
            tool_calls=tuple(
                ToolCallDelta(index=number, id=tool.id, name=tool.name, arguments=tool.arguments)
                for number, tool in enumerate(choice.tool_calls)
            ),
            reasoning=choice.reasoning,
            refusal=choice.refusal,
            logprobs=choice.logprobs,
            audio=choice.audio,
            extra=choice.extra,
            warnings=choice.warnings,
            usage=answer.usage if place == last else None,
            model=answer.model,
            id=answer.id,
            created=answer.created,
            system_fingerprint=answer.system_fingerprint,
        )
