"""How long an answer is."""

from __future__ import annotations

import re
from typing import Self

from pydantic import NonNegativeInt, model_validator

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.rules import Context, Problem
from gatewright.types.estimates import text_tokens

__all__ = ["LengthFormat", "sentences", "words"]

# A full stop that ends a sentence is followed by a space, or by the end: 3.5 and gatewright.org have none.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"')\]»”]*+(?=\s|$)|[。！？]|\n[ \t]*+\n")  # noqa: RUF001
_WORDY = re.compile(r"\w")


def words(text: str) -> int:
    """Count what stands between spaces."""
    return len(text.split())


def sentences(text: str) -> int:
    """Count the sentences: what a full stop, a question mark, an exclamation mark or an empty line ends."""
    return sum(1 for piece in _SENTENCE_END.split(text) if _WORDY.search(piece))


class LengthFormat(Format):
    """At least and at most so many characters, words, sentences, or tokens (4 characters each: an estimate)."""

    id: str = "length"
    text: str = "The answer is neither too short nor too long."
    min_characters: NonNegativeInt | None = None
    max_characters: NonNegativeInt | None = None
    min_words: NonNegativeInt | None = None
    max_words: NonNegativeInt | None = None
    min_sentences: NonNegativeInt | None = None
    max_sentences: NonNegativeInt | None = None
    min_tokens: NonNegativeInt | None = None
    max_tokens: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        bounds = self._bounds()
        if not bounds:
            raise ValueError("at least one bound, such as max_words")
        for unit, least, most in bounds:
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{unit} to be at most max_{unit}")
        return self

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give each bound that is not kept."""
        problems: list[Problem] = []
        for unit, least, most in self._bounds():
            length = _COUNTS[unit](text)
            if least is not None and length < least:
                problems.append(Problem(f"it has {length} {unit}, fewer than {least}"))
            elif most is not None and length > most:
                problems.append(Problem(f"it has {length} {unit}, more than {most}"))
        return problems

    def wanted(self) -> str:
        """Say the bounds."""
        return " ".join(f"The answer has {_bounds_said(least, most)} {unit}." for unit, least, most in self._bounds())

    def _bounds(self) -> list[tuple[str, int | None, int | None]]:
        each = (
            ("characters", self.min_characters, self.max_characters),
            ("words", self.min_words, self.max_words),
            ("sentences", self.min_sentences, self.max_sentences),
            ("tokens", self.min_tokens, self.max_tokens),
        )
        return [bound for bound in each if bound[1] is not None or bound[2] is not None]


_COUNTS = {"characters": len, "words": words, "sentences": sentences, "tokens": text_tokens}


def _bounds_said(least: int | None, most: int | None) -> str:
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"{least} to {most}"
