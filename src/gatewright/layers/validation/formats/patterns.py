"""Regular expressions of users: matched in linear time, whatever they are."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from gatewright.layers.validation.automata import compiled
from gatewright.layers.validation.rules import PatternRule
from gatewright.layers.validation.scanner import Scanner

__all__ = ["Pattern", "PatternText"]


class Pattern:
    """A compiled regular expression of RE2's syntax; one that is none is a `ConfigurationError`."""

    __slots__ = ("_scanner", "written")

    def __init__(self, written: str, *, ignore_case: bool = False) -> None:
        compiled(written)  # an error shows the pattern as it was written
        self.written = written
        self._scanner = Scanner([PatternRule(id="", pattern=f"(?i){written}" if ignore_case else written)])

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Give where it matches, from character to character."""
        return [(hit.start, hit.end) for hit in self._scanner.find(text)]

    def matches(self, text: str) -> bool:
        """Whether it matches anywhere."""
        return bool(self._scanner.find(text))


def _checked(pattern: str) -> str:
    compiled(pattern)
    return pattern


PatternText = Annotated[str, AfterValidator(_checked)]
"""A pattern as a setting."""
