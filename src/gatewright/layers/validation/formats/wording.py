"""What has to stand in an answer, and what must not."""

from __future__ import annotations

from typing import Any, Self

from pydantic import PrivateAttr, model_validator

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.formats.patterns import Pattern, PatternText
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["WordingFormat"]


class WordingFormat(Format):
    """Words that must be there or must not, and patterns (RE2's syntax) likewise; upper and lower case are one.

    With `match_case` they are two.
    """

    id: str = "wording"
    text: str = "The answer has the words that it must have, and none that it must not."
    must_contain: tuple[str, ...] = ()
    must_not_contain: tuple[str, ...] = ()
    must_match: tuple[PatternText, ...] = ()
    must_not_match: tuple[PatternText, ...] = ()
    match_case: bool = False

    _wanted: list[Pattern] = PrivateAttr(default_factory=list[Pattern])
    _forbidden: list[Pattern] = PrivateAttr(default_factory=list[Pattern])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        words = (*self.must_contain, *self.must_not_contain)
        if not (words or self.must_match or self.must_not_match):
            raise ValueError("must_contain, must_not_contain, must_match or must_not_match")
        if "" in words:
            raise ValueError("no empty words")
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Compile the patterns."""
        self._wanted = [Pattern(one, ignore_case=not self.match_case) for one in self.must_match]
        self._forbidden = [Pattern(one, ignore_case=not self.match_case) for one in self.must_not_match]

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give each word that is missing, and each that should be; forbidden ones by their place only."""
        folded = self._folded(text)
        problems = [Problem(f"{word!r} is missing") for word in self.must_contain if self._folded(word) not in folded]
        problems += [Problem(f"nothing matches {one.written!r}") for one in self._wanted if not one.matches(text)]
        for place, word in enumerate(self.must_not_contain):
            problems += _found(self._folded(word), folded, f"word number {place + 1} of must_not_contain is there")
        for place, pattern in enumerate(self._forbidden):
            told = f"pattern number {place + 1} of must_not_match matches"
            problems += [Problem(told, *span) for span in pattern.spans(text)]
        return problems

    def wanted(self) -> str:
        """Say the words."""
        said = [f"The answer contains {_listed(self.must_contain)}."] if self.must_contain else []
        said += [f"The answer matches the pattern {pattern}." for pattern in self.must_match]
        said += [f"The answer does not contain {_listed(self.must_not_contain)}."] if self.must_not_contain else []
        said += [f"Nothing in the answer matches the pattern {pattern}." for pattern in self.must_not_match]
        return " ".join(said)

    def _folded(self, text: str) -> str:
        # Not casefold(): what was found has to be found again at the same characters of the text itself.
        if self.match_case:
            return text
        lowered = text.lower()
        return lowered if len(lowered) == len(text) else "".join(map(_lower_one, text))


def _lower_one(character: str) -> str:
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character


def _found(word: str, text: str, told: str) -> list[Problem]:
    problems: list[Problem] = []
    at = text.find(word)
    while at >= 0:
        problems.append(Problem(told, at, at + len(word)))
        at = text.find(word, at + len(word))
    return problems


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words)
