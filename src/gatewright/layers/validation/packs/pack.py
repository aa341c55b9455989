"""A rule pack: its rules, each a rule of a guardrail of its own, and the record that they all look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from gatewright.layers.validation.formats.reading import read_json
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.packs.conditions import Condition
from gatewright.layers.validation.packs.fields import Field, View
from gatewright.layers.validation.packs.record import record_of
from gatewright.layers.validation.rules import Context, Kind, PatternRule, Problem

__all__ = ["FORMAT", "PackRule", "Pages", "Part", "RecordRule", "RulePack"]

NO_CONTEXT = Context()
FORMAT = "format"
"""The family of the rules that the `record` part of a pack makes."""
Part = Literal["all", "format", "practice"]


class Pages:
    """Reads a text's record once for all rules of a pack: they are asked about the same text one after the other."""

    def __init__(self, fields: Mapping[str, Field], blank: frozenset[str]) -> None:
        self._fields = fields
        self._blank = blank
        self._last: tuple[str, Context, View] | None = None

    def view(self, text: str, context: Context) -> View:
        """Give the text as the pack's rules look at it."""
        last = self._last
        if last is not None and last[0] is text and last[1] is context:
            return last[2]
        view = View(text, record_of(text), context.values, self._fields, self._blank)
        self._last = (text, context, view)
        return view


class PackRule:
    """One rule of a pack: where `when` holds (always, if there is none) `then` has to.

    A rule about fields says nothing of a text that is no record: `needs_record` is one of another rule's.
    """

    kinds: frozenset[Kind] = frozenset(("text",))

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - as every rule has it
        text: str,
        then: Condition,
        when: Condition | None,
        pages: Pages,
        needs_record: bool,
        applies_to: tuple[str, ...],
        severity: Severity,
        action: Action | None,
        version: str,
    ) -> None:
        self.id = id
        self.text = text
        self.severity = severity
        self.action = action
        self.version = version
        self._when = when
        self._then = then
        self._pages = pages
        self._needs_record = needs_record
        self._applies_to = applies_to

    def judge(self, text: str, context: Context = NO_CONTEXT, /) -> Sequence[Problem]:
        """Give what is wrong, with the rule's own text before it."""
        if not _meant(context.output_type, self._applies_to):
            return ()
        view = self._pages.view(text, context)
        if self._needs_record and view.record is None:
            return ()
        if self._when is not None and self._when.problems(view):
            return ()
        return [
            msgspec.structs.replace(problem, message=f"{self.text} ({problem.message})")
            for problem in self._then.problems(view)
        ]


class RecordRule:
    """The text is a record at all, clean enough for a program to read."""

    kinds: frozenset[Kind] = frozenset(("text",))

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        text: str,
        pages: Pages,
        applies_to: tuple[str, ...],
        version: str,
    ) -> None:
        self.id = id
        self.text = text
        self.severity = Severity.HIGH
        self.action: Action | None = Action.REPAIR
        self.version = version
        self._pages = pages
        self._applies_to = applies_to

    def judge(self, text: str, context: Context = NO_CONTEXT, /) -> Sequence[Problem]:
        """Look for a record."""
        if not _meant(context.output_type, self._applies_to):
            return ()
        if self._pages.view(text, context).record is None:
            return (Problem(f"{self.text} (there is none)"),)
        reading = read_json(text)
        if reading is None or reading.how == "as it is":
            return ()
        told = "its JSON has mistakes" if reading.how == "mended" else f"its JSON stands {reading.how}"
        return (Problem(f"{self.text} ({told})", severity=Severity.LOW),)

    def repair(self, text: str, context: Context = NO_CONTEXT, /) -> str | None:
        """Give the record's JSON alone."""
        reading = read_json(text)
        return None if reading is None else reading.text


def _meant(output_type: str | None, applies_to: tuple[str, ...]) -> bool:
    """Whether a pack is for an output: one of no type, or of a type that it is for."""
    return output_type is None or not applies_to or output_type in applies_to


class RulePack(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that belong together; `version` is the pack's own and, after a `+`, a digest of what the file says.

    `applies_to` are the output types that it is for (`incident` …); none for any. Of an output of another type its
    rules say nothing; one whose type nobody told is taken for one of them.
    """

    name: str
    version: str
    about: str
    applies_to: tuple[str, ...]
    rules: tuple[PackRule | RecordRule | PatternRule, ...]
    source: str

    def part(self, part: Part) -> tuple[PackRule | RecordRule | PatternRule, ...]:
        """Give the rules of the record's form alone, those of the practice alone, or all."""
        begins = f"{self.name}.{FORMAT}."
        return tuple(rule for rule in self.rules if part == "all" or rule.id.startswith(begins) is (part == "format"))

    def describe(self) -> list[dict[str, Any]]:
        """Give each rule's id, severity, action and text."""
        return [
            {
                "id": rule.id,
                "severity": str(rule.severity),
                "action": None if rule.action is None else str(rule.action),
                "text": rule.text,
            }
            for rule in self.rules
        ]
