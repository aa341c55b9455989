"""A stream that is asked for anew: what was read before is left out, as long as it is the same."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.types.folding import AnswerFold
from gatewright.types.results import Chunk, ToolCallDelta

__all__ = ["Differs", "Repetition"]

TEXTS = ("text", "reasoning", "refusal")


class Differs(Exception):
    """The new answer is another one than that of which some was read."""


class Repetition:
    """What a new answer has to begin with: `read`, which the reader has."""

    def __init__(self, read: AnswerFold) -> None:
        self._left: dict[tuple[int, str | int], str] = {}
        self._tools: dict[tuple[int, str | int], str] = {}
        self._told = False  # something that has no beginning to go by
        self._ended: set[int] = set()  # the choices of which their reader knows that there is no more
        for choice in read.value().choices:
            if choice.finish_reason is not None:
                self._ended.add(choice.index)
            self._told = self._told or choice.audio is not None or _grows(choice.extra)
            for field in TEXTS:
                self._expect((choice.index, field), getattr(choice, field))
            for number, tool in zip(read.tool_indexes(choice.index), choice.tool_calls, strict=True):
                self._tools[choice.index, number] = tool.name
                self._left[choice.index, number] = tool.arguments  # it has to come, though there were none yet

    def new_of(self, chunk: Chunk) -> Chunk:
        """Give what is new in a chunk; `Differs` where it is another answer."""
        if self._told:
            raise Differs
        if not self._left and not self._tools and not self._ended:
            return chunk
        new: dict[str, Any] = {}
        for field in TEXTS:
            if said := getattr(chunk, field):
                new[field] = self._rest((chunk.index, field), said)
        if chunk.tool_calls:
            new["tool_calls"] = tuple(self._new_of_tool(chunk.index, delta) for delta in chunk.tool_calls)
        if chunk.index in self._ended and (any(map(new.get, TEXTS)) or any(map(_says, new.get("tool_calls", ())))):
            raise Differs
        if new and chunk.logprobs is not None and any(new[field] != getattr(chunk, field) for field in new):
            new["logprobs"] = None  # of what was read before, too
        if chunk.finish_reason is not None and any(index == chunk.index for index, _ in self._left):
            raise Differs
        return msgspec.structs.replace(chunk, **new)

    def end(self) -> None:
        """Hear that the new answer has ended; `Differs` where it is shorter than what was read."""
        if self._left:
            raise Differs

    def _expect(self, key: tuple[int, str | int], text: str | None) -> None:
        if text:
            self._left[key] = text

    def _rest(self, key: tuple[int, str | int], text: str) -> str:
        left = self._left.pop(key, "")
        same = min(len(left), len(text))
        if text[:same] != left[:same]:
            raise Differs
        self._expect(key, left[same:])
        return text[same:]

    def _new_of_tool(self, index: int, delta: ToolCallDelta) -> ToolCallDelta:
        key = (index, delta.index)
        name = self._tools.get(key)
        if name is None:
            return delta
        if delta.name and delta.name != name:
            raise Differs
        # Its reader has its name, and an id that no other answer has.
        return ToolCallDelta(index=delta.index, arguments=self._rest(key, delta.arguments))


def _says(delta: ToolCallDelta) -> bool:
    return bool(delta.name or delta.arguments)


def _grows(extra: dict[str, Any] | None) -> bool:
    """Whether there are texts or lists, such as signed `thinking_blocks`, that a second run would be added to."""
    return extra is not None and any(
        isinstance(value, str | list) and value not in ("", []) for value in extra.values()
    )
