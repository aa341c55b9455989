"""Placeholders in the place of what must not be read: the same value gets the same one."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Placeholders", "Span", "redacted", "united"]

Span = tuple[int, int, str]
"""From a character up to another, and the word of the placeholder."""


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


def redacted(text: str, spans: Iterable[Span], placeholders: Placeholders) -> str:
    """Give `text` with a placeholder for each span; those that overlap get one together."""
    parts: list[str] = []
    at = 0
    for start, end, label in united(spans):
        parts += (text[at:start], placeholders.of(label, text[start:end]))
        at = end
    parts.append(text[at:])
    return "".join(parts)
