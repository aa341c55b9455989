"""The two kinds of rule: patterns in a text, and judgements of a text as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from gatewright.layers.validation.levels import Action, Severity

__all__ = ["Check", "Context", "Kind", "Match", "PatternRule", "Problem", "Problems", "Rule", "Side", "TextRule"]

Side = Literal["input", "output"]
Kind = Literal["text", "reasoning", "refusal", "tool_arguments"]
"""What a judged text is; messages on the way in are `text` too, and arguments in them `tool_arguments`."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a text is judged in: on which side, for whom, for which request.

    `request` is the gateway's request (None outside of a call), `output_type` what the caller says it is (`json`,
    `incident` …), `values` whatever the caller of `validate` gave as its context.
    """

    side: Side = "output"
    kind: Kind = "text"
    tenant: str | None = None
    model: str = ""
    route: str = ""
    request: Any = None
    output_type: str | None = None
    values: Mapping[str, Any] = {}


class Match(msgspec.Struct, frozen=True):
    """A forbidden piece of a text, from character `start` up to `end`; `label` is what it is redacted to."""

    start: int
    end: int
    label: str = ""


Check = Callable[[str, int, int], Iterable[Match] | bool]
"""Judges what a pattern matched in a text, from its start to its end: yes, no, or the pieces of it that are meant.

It is given what was matched (the rule's group of it), and up to `LEFT_CONTEXT` characters before it, but nothing that
is behind it: in a stream that has not come yet.
"""


class PatternRule(msgspec.Struct, frozen=True, kw_only=True):
    """Finds pieces of a text by a regular expression in RE2's syntax, and a check of what that matched.

    `group` is the number of the group that is meant, where that is not all that is matched. `label` is the word of the
    placeholder (`EMAIL` gives `<EMAIL_1>`), `text` what the rule demands, which a finding cites. `action` overrides
    what the level has for `severity`.
    """

    id: str
    pattern: str
    severity: Severity = Severity.MEDIUM
    action: Action | None = None
    label: str = "REDACTED"
    text: str = ""
    check: Check | None = None
    group: int = 0


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a text; where that is a piece of it, `start` and `end` say which."""

    message: str
    start: int | None = None
    end: int | None = None
    severity: Severity | None = None
    """Otherwise than the rule has it."""
    label: str = "REDACTED"
    """The word of the placeholder, where the piece is redacted."""


Problems = Iterable[Problem]


@runtime_checkable
class TextRule(Protocol):
    """Judges a text as a whole, at once or awaitably; no problems are a pass.

    `kinds` are the texts that it is for. A rule may also have `repair(text, context) -> str | None`, which gives a
    better text where it can; it is asked where the finding's action is `repair`. One whose problems are pieces of
    the text says so by `located = True`: it can redact, and so it holds streams back too.
    """

    id: str
    severity: Severity
    action: Action | None
    text: str
    kinds: frozenset[Kind]

    def judge(self, text: str, context: Context, /) -> Problems | Awaitable[Problems]:
        """Give what is wrong with `text`."""
        ...


Rule = PatternRule | TextRule
