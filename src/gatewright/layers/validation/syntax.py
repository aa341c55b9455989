"""The structure of a regular expression in RE2's syntax: what is a character, a choice, a repetition.

RE2 itself says whether a pattern is right; this reads only patterns that it has compiled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Alternatives", "Assertion", "Character", "Node", "Repeated", "Sequence_", "longest", "parse", "shortest"]


class Character(NamedTuple):
    """Something that matches exactly one character: a letter, a class, a dot."""

    source: str


class Assertion(NamedTuple):
    r"""Something that matches no character but a place: `^`, `\\b`."""

    source: str


class Sequence_(NamedTuple):  # noqa: N801 - `Sequence` is taken
    """One thing after another."""

    parts: Sequence[Node]


class Alternatives(NamedTuple):
    """One thing or another."""

    options: Sequence[Node]


class Repeated(NamedTuple):
    """The same thing `least` to `most` times; None is any number of times."""

    inner: Node
    least: int
    most: int | None


Node = Character | Assertion | Sequence_ | Alternatives | Repeated

_ESCAPE = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2})|[0-7]{1,3}|.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?[a-z]+:\]|\\[pP]\{[^}]*\}|\\.|[^\]\\])*\]", re.DOTALL)
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)", re.DOTALL)
_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP = re.compile(r"\((?:\?P?<\w+>|\?(?P<flags>[a-zA-Z-]*)(?P<end>[:)]))?")
_PLACES = ("\\A", "\\z", "\\b", "\\B")


def parse(pattern: str) -> Node:
    """Take a pattern apart; `ValueError` where it has something that is not understood here."""
    reader = _Reader(pattern)
    node = reader.alternatives(frozenset())
    if reader.at != len(pattern):
        raise ValueError(f"not understood from character {reader.at}")
    return node


class _Reader:
    """Reads a pattern from left to right; flags are those of the group that it is in."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0

    def alternatives(self, flags: frozenset[str]) -> Node:
        options: list[Node] = []
        parts: list[Node] = []
        while self.at < len(self._pattern) and self._pattern[self.at] != ")":
            if self._pattern[self.at] == "|":
                self.at += 1
                options.append(_together(parts))
                parts = []
                continue
            changed = self._flags_alone(flags)
            if changed is not None:
                flags = changed
                continue
            parts += self._repeated(self._piece(flags))
        options.append(_together(parts))
        return options[0] if len(options) == 1 else Alternatives(options)

    def _flags_alone(self, flags: frozenset[str]) -> frozenset[str] | None:
        r"""Read `(?i)`, which holds for the rest of its group."""
        group = _GROUP.match(self._pattern, self.at)
        if group is None or group["end"] != ")":
            return None
        self.at = group.end()
        return _changed(flags, group["flags"])

    def _piece(self, flags: frozenset[str]) -> list[Node]:
        character = self._pattern[self.at]
        if character == "(":
            return [self._group(flags)]
        if character == "\\" and (quoted := _QUOTED.match(self._pattern, self.at)):
            self.at = quoted.end()
            return [_character(re.escape(one), flags) for one in quoted[1]]
        if character in "^$":
            self.at += 1
            return [Assertion(_flagged(character, flags & {"m"}))]
        found = {"\\": _ESCAPE, "[": _CLASS}.get(character)
        source = character if found is None else _taken(found.match(self._pattern, self.at))
        self.at += len(source)
        if source == "\\C":
            raise ValueError("single bytes")
        return [Assertion(source) if source in _PLACES else _character(source, flags)]

    def _group(self, flags: frozenset[str]) -> Node:
        group = _GROUP.match(self._pattern, self.at)
        assert group is not None
        self.at = group.end()
        inner = self.alternatives(_changed(flags, group["flags"] or ""))
        if self._pattern[self.at : self.at + 1] != ")":
            raise ValueError("a group without its end")
        self.at += 1
        return inner

    def _repeated(self, nodes: list[Node]) -> list[Node]:
        """Apply the repetitions that follow to the last of `nodes`."""
        while self.at < len(self._pattern) and nodes:
            least, most = self._times()
            if least is None:
                break
            nodes[-1] = Repeated(nodes[-1], least, most)
            if self._pattern[self.at : self.at + 1] == "?":
                self.at += 1
        return nodes

    def _times(self) -> tuple[int | None, int | None]:
        sign = self._pattern[self.at]
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if sign in simple:
            self.at += 1
            return simple[sign]
        count = _COUNT.match(self._pattern, self.at)
        if count is None:
            return None, None
        self.at = count.end()
        least = int(count[1])
        return least, (least if count[2] is None else int(count[3]) if count[3] else None)


def _together(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Sequence_(parts)


def _changed(flags: frozenset[str], written: str) -> frozenset[str]:
    on, _, off = written.partition("-")
    return (flags | set(on)) - set(off)


def _character(source: str, flags: frozenset[str]) -> Character:
    wanted = "s" if source == "." else "i" if any(one.isalpha() for one in source) else ""
    return Character(_flagged(source, flags & set(wanted)))


def _flagged(source: str, flags: frozenset[str] | set[str]) -> str:
    return f"(?{''.join(sorted(flags))}:{source})" if flags else source


def _taken(found: re.Match[str] | None) -> str:
    if found is None:
        raise ValueError("an escape or a class that is not understood")
    return found[0]


def longest(node: Node) -> int | None:
    """Give how many characters a node matches at most; None where there is no limit."""
    match node:
        case Character():
            return 1
        case Assertion():
            return 0
        case Sequence_():
            lengths = [longest(part) for part in node.parts]
            return None if None in lengths else sum(length or 0 for length in lengths)
        case Alternatives():
            lengths = [longest(option) for option in node.options]
            return None if None in lengths else max(length or 0 for length in lengths)
        case Repeated():
            inner = longest(node.inner)
            if node.most == 0 or inner == 0:
                return 0
            return None if inner is None or node.most is None else inner * node.most


def shortest(node: Node) -> int:
    """Give how many characters a node matches at least."""
    match node:
        case Character():
            return 1
        case Assertion():
            return 0
        case Sequence_():
            return sum(shortest(part) for part in node.parts)
        case Alternatives():
            return min(shortest(option) for option in node.options)
        case Repeated():
            return node.least * shortest(node.inner)
