"""Telephone numbers: by their country's plan, or by the words around what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gatewright.layers.validation.rules import PatternRule

__all__ = ["phones"]

LABEL = "PHONE"
WHAT = "a telephone number"
_NUMBER = r"(?:\+|\(|\b)\d[\d ().\-/]{5,22}\d(?: ?(?:x|ext\.?) ?\d{1,6})?"
ANY = rf"{_NUMBER}\b"
NAMED_AFTER = rf"({_NUMBER})[ -]{{1,3}}(?i:office|fax|mobile|cell|home|work|desk)\b"

# Where a number without its country's code may be from, if nobody says.
USUAL = (
    "US",
    "GB",
    "IE",
    "AU",
    "IN",
    "DE",
    "AT",
    "CH",
    "FR",
    "BE",
    "NL",
    "ES",
    "PT",
    "IT",
    "SE",
    "NO",
    "DK",
    "FI",
    "PL",
)
_WORDS = re.compile(
    r"(?i)(?:phone|\btel\b|mobile|\bcell|\bfax\b|\bcall|\bdial|\bdesk\b|\boffice\b|\bhotline|whats ?app|\bsms\b"
    r"|\bcontact|\breach|\banswer|\btext(?:ed|ing)?\s|messages?\b|handy|telefon|tel[eé]fono|\bportable\b)"
    r"[^.!?;]{0,40}$"
)
_DATE = re.compile(
    r"\b(?:1[89]|20)\d\d[-/. ](?:0?[1-9]|1[0-2])(?:[-/. ]|$)"
    r"|^(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ](?:\d\d){1,2}$"
)
_PART_OF_MORE = re.compile(r"\d[.,/-]$|[$€£#=_]$")
_OTHER = re.compile(
    r"(?i)(?:licen[cs]e|passport|order|invoice|ticket|account|\bis[bs]n\b|serial|tracking|reference|\bdoi\b)[^.!?;]{0,30}$"
)
_NORTH_AMERICAN = re.compile(r"1?[-. ]?\(?[2-9]\d\d\)?[-. ]?[2-9]\d\d[-. ]\d{4}\b")
_TORN = re.compile(r"\. |  |\d \(\d+\) |^0\.\d")
_EXTENSION = re.compile(r" ?(?:x|ext\.?) ?\d{1,6}$")


def phones(countries: Sequence[str]) -> Iterator[PatternRule]:
    """Give the rules for numbers of these countries (of the usual ones where none is named)."""
    regions = tuple(country.upper() for country in countries) or USUAL

    def check(text: str, start: int, end: int) -> bool:
        return _is_phone(text, start, end, regions)

    # A plan of numbers is part of what a rule is.
    check.__qualname__ = f"phones({','.join(regions)})"
    yield PatternRule(id="pii.phone", pattern=ANY, check=check, label=LABEL, text=WHAT)
    yield PatternRule(id="pii.phone", pattern=NAMED_AFTER, check=_is_likely, group=1, label=LABEL, text=WHAT)


def _is_phone(text: str, start: int, end: int, regions: Sequence[str]) -> bool:
    found = text[start:end]
    if not _is_likely(text, start, end):
        return False
    if found.startswith("+") or _WORDS.search(text[:start]):
        return True
    return _is_written_as_one(found) and not _OTHER.search(text[:start]) and _is_in_a_plan(found, regions)


def _is_likely(text: str, start: int, end: int) -> bool:
    """Say whether it may be one at all: of so many digits, and neither a date nor a sum."""
    found = _EXTENSION.sub("", text[start:end])
    groups = re.findall(r"\d+", found)
    digits = sum(map(len, groups))
    if not 7 <= digits <= 15 or _DATE.search(found) or _PART_OF_MORE.search(text[:start]):
        return False
    if (
        (found[0] != "+" and _TORN.search(found))
        or found.count("(") != found.count(")")
        or len(set("".join(groups))) < 3
    ):
        return False
    # `3.14159265` and `10.1016/…` are numbers of other kinds, `1 2 3 4 5 6 7` is a count.
    return not (len(groups) == 2 and "." in found) and not (len(groups) > 3 and digits / len(groups) < 2)


def _is_written_as_one(found: str) -> bool:
    """Say whether it is written as people write a number without saying that it is one."""
    return bool(_NORTH_AMERICAN.match(found)) or (found.startswith(("0", "(")) and "." not in found)


def _is_in_a_plan(found: str, regions: Sequence[str]) -> bool:
    import phonenumbers

    for region in regions:
        try:
            number = phonenumbers.parse(found, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False
