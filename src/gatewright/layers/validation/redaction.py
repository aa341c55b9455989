"""Placeholders in the place of what must not be read: the same value gets the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Placeholders", "Redactor", "Span", "united"]

Span = tuple[int, int, str]
"""From a character up to another, and the word of the placeholder."""

_QUOTES = re.compile(r'\\.|"', re.DOTALL)


class Placeholders:
    """The placeholders of one call: `<EMAIL_1>`, `<EMAIL_2>` …, in the order in which values are first met."""

    __slots__ = ("_counts", "_given")

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def of(self, label: str, value: str) -> str:
        """Give the placeholder of a value."""
        given = self._given.get((label, value))
        if given is None:
            count = self._counts[label] = self._counts.get(label, 0) + 1
            given = self._given[label, value] = f"<{label}_{count}>"
        return given

    def skip(self, label: str, count: int) -> None:
        """Leave the numbers up to `count` to others: they stand in a text already."""
        self._counts[label] = max(self._counts.get(label, 0), count)


class Redactor:
    """Redacts one text, piece after piece.

    In JSON (a text that begins with `{` or `[`) a placeholder for what is no string is put in quotes: it stays JSON.
    """

    __slots__ = ("_json", "_open", "_placeholders", "_tail")

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._json: bool | None = None  # not known until there is something else than white space
        self._open = False  # whether a string of the JSON is open
        self._tail = ""  # a backslash whose character has not come yet

    def passed(self, text: str) -> str:
        """Take note of a piece that is let through as it is."""
        if self._json is not False and text:
            self._follow(text)
        return text

    def redact(self, text: str, spans: Iterable[Span]) -> str:
        """Give a piece with a placeholder for each span; those that overlap get one together."""
        parts: list[str] = []
        at = 0
        for start, end, label in united(spans):
            parts.append(self.passed(text[at:start]))
            placeholder = self._placeholders.of(label, text[start:end])
            bare = self._json is True and not self._open
            self.passed(text[start:end])
            parts.append(f'"{placeholder}"' if bare and not self._open else placeholder)
            at = end
        parts.append(self.passed(text[at:]))
        return "".join(parts)

    def _follow(self, text: str) -> None:
        if self._json is None:
            begun = text.lstrip()
            if not begun:
                return
            self._json = begun[0] in "{["
            if not self._json:
                return
        text = self._tail + text
        self._tail = ""
        for mark in _QUOTES.findall(text):
            if mark == '"':
                self._open = not self._open
        if text.endswith("\\") and (len(text) - len(text.rstrip("\\"))) % 2:
            self._tail = "\\"


def united(spans: Iterable[Span]) -> list[Span]:
    """Make one span of those that overlap, with the word of the one that begins first (of those, the longest)."""
    joined: list[Span] = []
    for start, end, label in sorted(spans, key=lambda span: (span[0], -span[1])):
        if joined and start < joined[-1][1]:
            first, last, word = joined[-1]
            joined[-1] = (first, max(last, end), word)
        else:
            joined.append((start, end, label))
    return joined
