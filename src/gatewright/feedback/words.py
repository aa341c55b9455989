"""Texts by their words: the form in which two spellings of one text are equal, and its set of words."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

__all__ = ["decisive", "normal_form", "text_key", "words_of"]

MAX_CHARS = 20_000
"""So much of a text tells it from others."""

_APOSTROPHES = "'`\u2018\u2019\u00b4"


class _Plain(dict[int, int | str | None]):
    """A table for `str.translate`: punctuation and separators become a space, apostrophes and controls go."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        category = unicodedata.category(char)
        plain: int | str | None = code
        if char in _APOSTROPHES or category == "Cf":
            plain = None
        elif category[0] in "PZC":
            plain = " "
        self[code] = plain
        return plain


_PLAIN = _Plain()
_CJK = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_NUMBER = re.compile(r"\d")
_NEGATION = re.compile(
    "not|no|never|none|cannot|without|(?:do|does|did|ca|is|are|was|were|wo|would|should|could|has|have|had|must)nt"
    "|nicht|kein|keine|keinen|nie|ohne|ne|pas|jamais|sans|nunca|sin"
)


def normal_form(text: str) -> str:
    """Give a text without its case, punctuation, doubled spaces and compatibility forms (a wide `A` is `a`).

    A text of nothing but punctuation keeps it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text[:MAX_CHARS]).casefold())
    return " ".join(folded.translate(_PLAIN).split()) or folded.strip()


def text_key(text: str) -> int:
    """Give a signed 64-bit number that is the same for texts of the same normal form."""
    return int.from_bytes(blake2b(normal_form(text).encode(), digest_size=8).digest(), "big", signed=True)


def words_of(text: str) -> frozenset[str]:
    """Give the set of a text's words; where a script has no spaces, of its pairs of characters."""
    words: set[str] = set()
    for word in normal_form(text).split():
        if len(word) > 2 and _CJK.search(word):
            words.update(word[place : place + 2] for place in range(len(word) - 1))
        else:
            words.add(word)
    return frozenset(words)


def decisive(words: frozenset[str]) -> frozenset[str]:
    """Give the words in which two texts of one meaning cannot differ: numbers and negations."""
    return frozenset(word for word in words if _NUMBER.search(word) or _NEGATION.fullmatch(word))
