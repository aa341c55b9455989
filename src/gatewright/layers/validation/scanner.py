"""Finds what patterns match in a text: all of them as one automaton, each looked for alone only where that says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from gatewright.errors import ConfigurationError, MissingExtra
from gatewright.layers.validation.rules import PatternRule

__all__ = ["LEFT_CONTEXT", "Hit", "Raw", "Scanner", "compiled"]

LEFT_CONTEXT = 64
"""How many characters before a match its check may look at."""
MEMORY = 64 << 20
"""Bytes that one automaton may grow to; RE2 takes them as it needs them."""


class Hit(NamedTuple):
    """What a rule, the one at `rule` in the scanner's list, found from `start` up to `end`."""

    start: int
    end: int
    rule: int
    label: str


class Raw(NamedTuple):
    """What a rule's pattern matched, whatever its check says of it."""

    start: int
    end: int
    rule: int


def compiled(pattern: str) -> Any:
    """Compile a pattern for UTF-8 bytes; one that RE2 cannot do is a `ConfigurationError` that says why."""
    re2 = _re2()
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        expression = re2.compile(pattern.encode(), options)
    except re2.error as error:
        raise ConfigurationError(f"pattern {pattern!r}: {_reason(pattern, error)}") from None
    if expression.search(b"") is not None and expression.match(b"") is not None:
        raise ConfigurationError(f"pattern {pattern!r}: it matches the empty text, so it would be found everywhere")
    return expression


def _reason(pattern: str, error: Exception) -> str:
    told = str(error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error)
    for sign, name in (("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"), ("(?<!", "look-behind")):
        if sign in pattern:
            return f"{name} is not possible in linear time: write what is to be matched without {sign}…)"
    if "invalid escape sequence: \\" in told and told.rstrip("'")[-1:].isdigit():
        return "a back reference is not possible in linear time"
    return told


def _re2() -> Any:
    try:
        import re2  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtra("Guards", "guards") from None
    return re2


class Scanner:
    """The pattern rules of a guardrail, ready to find."""

    def __init__(self, rules: Sequence[PatternRule]) -> None:
        self.rules = tuple(rules)
        self._expressions = [compiled(rule.pattern) for rule in rules]
        self._set: Any = None
        if rules:
            re2 = _re2()
            options = re2.Options()
            options.max_mem = MEMORY
            self._set = re2.Set.SearchSet(options)
            for rule in rules:
                self._set.Add(rule.pattern.encode())
            self._set.Compile()

    def raw(self, text: str, start: int = 0) -> list[Raw]:
        """Give what the patterns match from character `start` on, each pattern's own matches apart from each other."""
        if self._set is None:
            return []
        data = text.encode("utf-8", "surrogatepass")
        suspects = self._set.Match(data)
        if suspects is None:
            return []
        begin = start if len(data) == len(text) else len(text[:start].encode("utf-8", "surrogatepass"))
        spans = [(*match.span(), rule) for rule in suspects for match in self._expressions[rule].finditer(data, begin)]
        spans.sort()
        if len(data) == len(text):
            return [Raw(first, last, rule) for first, last, rule in spans]
        return list(_in_characters(data, spans))

    def checked(self, text: str, raw: Iterable[Raw]) -> list[Hit]:
        """Give the hits among what the patterns matched, by their place."""
        hits: list[Hit] = []
        for start, end, number in raw:
            rule = self.rules[number]
            if rule.check is None:
                hits.append(Hit(start, end, number, rule.label))
                continue
            base = max(0, start - LEFT_CONTEXT)
            found = rule.check(text[base:end], start - base, end - base)
            if found is True:
                hits.append(Hit(start, end, number, rule.label))
            elif found is not False:
                hits += [Hit(base + one.start, base + one.end, number, one.label or rule.label) for one in found]
        hits.sort()
        return hits

    def find(self, text: str) -> list[Hit]:
        """Give everything the rules find in a whole text, by its place."""
        raw = self.raw(text)
        return self.checked(text, raw) if raw else []


def _in_characters(data: bytes, spans: Sequence[tuple[int, int, int]]) -> Iterator[Raw]:
    """Give spans of bytes, in their order, as spans of characters."""
    places = sorted({place for start, end, _ in spans for place in (start, end)})
    characters: dict[int, int] = {}
    at = count = 0
    for place in places:
        count += len(data[at:place].decode("utf-8", "surrogatepass"))
        at = place
        characters[place] = count
    for start, end, rule in spans:
        yield Raw(characters[start], characters[end], rule)
