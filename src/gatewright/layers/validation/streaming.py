"""A stream, guarded while it goes: each of a choice's texts apart, and of each what nothing can begin in any more."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.growing import GrowingText
from gatewright.layers.validation.levels import Action
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.redaction import Placeholders
from gatewright.layers.validation.rest import without_findings
from gatewright.layers.validation.telling import warnings_of
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Chunk, ToolCallDelta

__all__ = ["GuardedChunks"]


class GuardedChunks:
    """Takes a stream's chunks, gives those that may go out; what was found since is in `findings`."""

    def __init__(self, panel: Panel, placeholders: Placeholders) -> None:
        self._panel = panel
        self._placeholders = placeholders
        self._choices: dict[int, _OpenChoice] = {}
        self.findings: list[Finding] = []

    def feed(self, chunk: Chunk) -> Chunk | None:
        """Take a chunk; None where nothing of it can go out yet."""
        choice = self._choices.get(chunk.index)
        if choice is None:
            choice = self._choices[chunk.index] = _OpenChoice(self._panel, chunk.index, self._placeholders)
        fields = choice.feed(chunk)
        if chunk.finish_reason is not None:
            fields = choice.finish(fields)
            del self._choices[chunk.index]
        return self._made(choice, chunk, fields)

    def finish(self) -> list[Chunk]:
        """Give what is still held of choices that have not said that they are at their end."""
        rest: list[Chunk] = []
        for index, choice in self._choices.items():
            made = self._made(choice, Chunk(index=index), choice.finish({}))
            if made is not None:
                rest.append(made)
        self._choices = {}
        return rest

    def _made(self, choice: _OpenChoice, chunk: Chunk, fields: dict[str, Any]) -> Chunk | None:
        if choice.findings:
            self.findings += choice.findings
            choice.findings = []
        if not fields and chunk.finish_reason is None and chunk.usage is None and choice.begun:
            return None
        choice.begun = True
        return Chunk(
            index=chunk.index,
            finish_reason=chunk.finish_reason,
            usage=chunk.usage,
            model=chunk.model,
            id=chunk.id,
            created=chunk.created,
            system_fingerprint=chunk.system_fingerprint,
            **fields,
        )


class _OpenChoice:
    """One choice's texts, as far as they have come."""

    def __init__(self, panel: Panel, index: int, placeholders: Placeholders) -> None:
        self._panel = panel
        self._index = index
        self._placeholders = placeholders
        self._texts: dict[str, GrowingText] = {}
        self._rest = AnswerFold(model="", provider="")
        self._has_rest = False
        self._probabilities: list[tuple[int, dict[str, Any]]] = []
        self._written = 0
        self._redacted = False
        self._noted: list[Finding] = []
        self.findings: list[Finding] = []
        self.begun = False

    def feed(self, chunk: Chunk) -> dict[str, Any]:
        """Give the fields of a chunk with what may go out of it and of what was held."""
        fields: dict[str, Any] = {}
        if chunk.reasoning and (released := self._take("reasoning", "reasoning", chunk.reasoning)):
            fields["reasoning"] = released
        if chunk.text and (released := self._take("text", "text", chunk.text)):
            fields["text"] = released
        if chunk.refusal and (released := self._take("refusal", "refusal", chunk.refusal)):
            fields["refusal"] = released
        if chunk.tool_calls:
            deltas = [self._tool(delta) for delta in chunk.tool_calls]
            if kept := tuple(delta for delta in deltas if delta is not None):
                fields["tool_calls"] = kept
        if chunk.extra is not None or chunk.audio is not None:
            self._has_rest = True
            self._rest.add(Chunk(extra=chunk.extra, audio=chunk.audio))
        if chunk.logprobs is not None:
            self._written += len(chunk.text) + len(chunk.refusal or "")
            self._probabilities.append((self._written, chunk.logprobs))
        if self._probabilities:
            self._add_probabilities(fields, self._let_out())
        return fields

    def finish(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Add everything that is still held to a chunk's fields, and what is to be said of it."""
        for key, text in self._texts.items():
            released = text.finish()
            self._note(released.findings)
            if not released.text:
                continue
            if isinstance(name := _NAMES.get(key), str):
                fields[name] = (fields.get(name) or "") + released.text
            else:
                delta = ToolCallDelta(index=int(key), arguments=released.text)
                fields["tool_calls"] = (*fields.get("tool_calls", ()), delta)
        self._add_probabilities(fields, None)
        if self._has_rest:
            fields |= self._finished_rest()
        if self._noted:
            fields["warnings"] = warnings_of(self._noted)
        return fields

    def _take(self, key: str, place: str, piece: str) -> str:
        text = self._texts.get(key)
        if text is None:
            where = f"choices[{self._index}].{place}"
            text = self._texts[key] = GrowingText(self._panel, where, self._placeholders)
        released = text.feed(piece)
        if released.findings:
            self._note(released.findings)
        return released.text

    def _tool(self, delta: ToolCallDelta) -> ToolCallDelta | None:
        written = delta.arguments
        if written:
            written = self._take(str(delta.index), f"tool_calls[{delta.index}].arguments", written)
        if not written and delta.id is None and delta.name is None:
            return None
        return delta if written == delta.arguments else msgspec.structs.replace(delta, arguments=written)

    def _note(self, findings: list[Finding]) -> None:
        self.findings += findings
        self._noted += findings
        self._redacted = self._redacted or any(one.action is not Action.WARN for one in findings)

    def _let_out(self) -> int:
        return sum(text.released for key, text in self._texts.items() if key in ("text", "refusal"))

    def _add_probabilities(self, fields: dict[str, Any], until: int | None) -> None:
        """Add the probabilities of tokens that are out; from the first redaction on there are none any more."""
        waiting = self._probabilities
        self._probabilities = [] if until is None else [one for one in waiting if one[0] > until]
        if self._redacted:
            return
        fold = AnswerFold(model="", provider="")
        for end, probabilities in waiting:
            if until is None or end <= until:
                fold.add(Chunk(logprobs=probabilities))
        merged = fold.value().choices[0].logprobs
        if merged is not None:
            fields["logprobs"] = merged

    def _finished_rest(self) -> dict[str, Any]:
        whole = msgspec.structs.replace(self._rest.value().choices[0], index=self._index)
        rest, findings = without_findings(self._panel, whole, self._placeholders)
        self._note(findings)
        return rest


_NAMES = {"reasoning": "reasoning", "text": "text", "refusal": "refusal"}
