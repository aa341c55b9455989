"""Finds what patterns match in a text: all of them as one automaton, each looked for alone only where that says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gatewright.layers.validation.automata import compiled, many
from gatewright.layers.validation.beginnings import beginnings_of
from gatewright.layers.validation.rules import PatternRule

__all__ = ["LEFT_CONTEXT", "Hit", "Matched", "Scanner"]

LEFT_CONTEXT = 64
"""How many characters before a match its check may look at."""
NEVER = r"[^\x00-\x{10FFFF}]"
WORDS = (b" word", b" Word", b" 1234", b" ab12")
"""What texts are full of."""


class Hit(NamedTuple):
    """What a rule, the one at `rule` in the scanner's list, found from `start` up to `end`."""

    start: int
    end: int
    rule: int
    label: str


class Matched(NamedTuple):
    """What a rule's pattern matched, and the group of it that is meant, whatever its check says of it."""

    start: int
    end: int
    rule: int
    first: int
    last: int


class Scanner:
    """The pattern rules of a guardrail, ready to find."""

    def __init__(self, rules: Sequence[PatternRule]) -> None:
        self.rules = tuple(rules)
        self._expressions = [compiled(rule.pattern) for rule in rules]
        self._set: Any = many([rule.pattern for rule in rules]) if rules else None
        self._growing: _Growing | None = None

    def find(self, text: str) -> list[Hit]:
        """Give everything the rules find in a whole text, by its place."""
        if self._set is None:
            return []
        data = text.encode("utf-8", "surrogatepass")
        suspects = self._set.Match(data)
        if suspects is None:
            return []
        return self.checked(text, self.matched(text, data, suspects, 0))

    def matched(self, text: str, data: bytes, suspects: Iterable[int], start: int) -> list[Matched]:
        """Give what the patterns of `suspects` match from character `start` on, by its place; `data` is the text."""
        plain = len(data) == len(text)
        begin = start if plain else len(text[:start].encode("utf-8", "surrogatepass"))
        found: list[Matched] = []
        for number in suspects:
            group = self.rules[number].group
            for match in self._expressions[number].finditer(data, begin):
                start, end = match.span()
                first, last = match.span(group) if group else (start, end)
                if last > first >= 0:
                    found.append(Matched(start, end, number, first, last))
        found.sort()
        return found if plain or not found else _in_characters(data, found)

    def checked(self, text: str, matched: Iterable[Matched]) -> list[Hit]:
        """Give the hits among what the patterns matched, by their place."""
        hits: list[Hit] = []
        for one in matched:
            rule = self.rules[one.rule]
            if rule.check is None:
                hits.append(Hit(one.first, one.last, one.rule, rule.label))
                continue
            base = max(0, one.first - LEFT_CONTEXT)
            found = rule.check(text[base : one.last], one.first - base, one.last - base)
            if found is True:
                hits.append(Hit(one.first, one.last, one.rule, rule.label))
            elif found is not False:
                hits += [Hit(base + part.start, base + part.end, one.rule, part.label or rule.label) for part in found]
        hits.sort()
        return hits

    def look(self, data: bytes) -> tuple[list[int], list[int]] | None:
        """Say which rules match in `data`, and which may where more comes; None where none does either.

        The second are those for which `begins` may find a beginning.
        """
        growing = self._growing or self._grow()
        found = growing.all.Match(data) if growing.all is not None else None
        if found is None:
            return None
        count = len(self.rules)
        return [number for number in found if number < count], [number - count for number in found if number >= count]

    def begins(self, data: bytes, numbers: Iterable[int], start: int) -> int:
        """Give from which byte on, `start` at the least, the end of `data` is the beginning of a match of these."""
        growing = self._growing or self._grow()
        earliest = len(data)
        common = False
        for number in numbers:
            expression = growing.rare[number]
            if expression is None:
                common = True
            elif (match := expression.search(data, start)) is not None:
                earliest = min(earliest, match.span()[0])
        if common and (match := growing.common.search(data, start)) is not None:
            earliest = min(earliest, match.span()[0])
        return earliest

    def grow(self) -> None:
        """Make what is needed for texts that grow."""
        if self._growing is None:
            self._grow()

    def _grow(self) -> _Growing:
        patterns = [beginnings_of(rule.pattern) or NEVER for rule in self.rules]
        rare: list[Any] = [compiled(pattern) for pattern in patterns]
        usual = [number for number, one in enumerate(rare) if any(one.search(word) is not None for word in WORDS)]
        for number in usual:
            rare[number] = None
        self._growing = _Growing(
            many([rule.pattern for rule in self.rules] + patterns) if patterns else None,
            compiled("|".join(patterns[number] for number in usual)) if usual else None,
            rare,
        )
        return self._growing


class _Growing(NamedTuple):
    """What finds the beginnings of matches at the end of a text.

    `all` knows which rules there may be a beginning of. `rare` are the expressions that find where it is; those that
    any word may be the beginning of are looked for together, in `common`, and are None there.
    """

    all: Any
    common: Any
    rare: list[Any]


def _in_characters(data: bytes, found: list[Matched]) -> list[Matched]:
    """Give spans of bytes as spans of characters."""
    places = sorted({place for one in found for place in (one.start, one.end, one.first, one.last)})
    characters: dict[int, int] = {}
    at = count = 0
    for place in places:
        count += len(data[at:place].decode("utf-8", "surrogatepass"))
        at = place
        characters[place] = count
    return [
        Matched(characters[one.start], characters[one.end], one.rule, characters[one.first], characters[one.last])
        for one in found
    ]
