"""The tests that a field's value can be put to: each says what is wrong, never with the value itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from gatewright.layers.validation.formats.length import words
from gatewright.layers.validation.formats.patterns import Pattern
from gatewright.layers.validation.packs.fields import View
from gatewright.layers.validation.packs.words import plain, spellings

__all__ = [
    "Counted",
    "InOrder",
    "LookedUp",
    "Matching",
    "OneOf",
    "Path",
    "SameAs",
    "Table",
    "ValueTest",
    "moment",
]

Path = tuple[str, ...]
Table = Mapping[str, Any]
"""What is looked up: words to words, or to tables further in."""


class ValueTest(Protocol):
    """Says what a value should be; None where it is."""

    def fault(self, value: Any, view: View, /) -> str | None:
        """Give what the value should be, in words that follow the field's name: "is not one of open, closed"."""
        ...


class OneOf:
    """One of these values."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = frozenset(one for value in values for one in spellings(value))
        self._said = ", ".join(map(plain, values))
        self._one = len(values) == 1

    def fault(self, value: Any, view: View, /) -> str | None:
        """Compare with each."""
        if isinstance(value, str | int | float) and plain(value) in self._values:
            return None
        return f"is not {self._said}" if self._one else f"is not one of {self._said}"


class Matching:
    """A text of this pattern, somewhere in it."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern

    def fault(self, value: Any, view: View, /) -> str | None:
        """Search for the pattern."""
        found = isinstance(value, str | int | float) and self._pattern.matches(str(value))
        return None if found else f"does not match {self._pattern.written}"


class LookedUp:
    """What a table has for the values of other fields."""

    def __init__(self, table: Table, by: Sequence[Path]) -> None:
        self._table = table
        self._by = by

    def fault(self, value: Any, view: View, /) -> str | None:
        """Look it up and compare."""
        found: Any = self._table
        for path in self._by:
            key = view.get(path)
            found = found.get(plain(key)) if isinstance(key, str | int | float) else None
            if found is None:
                return f"cannot be told: the table has nothing for this {' and '.join(map('.'.join, self._by))}"
        if isinstance(value, str | int | float) and plain(value) == plain(found):
            return None
        return f"is not {found}, which it is by {' and '.join(map('.'.join, self._by))}"


class Counted:
    """At least or at most so much of something: words, characters, items, or the number itself."""

    def __init__(self, unit: str, *, least: float | None = None, most: float | None = None) -> None:
        self._unit = unit
        self._least = least
        self._most = most

    def fault(self, value: Any, view: View, /) -> str | None:
        """Count and compare."""
        count = _COUNTS[self._unit](value)
        if count is None:
            return f"has no {self._unit} to be counted"
        if self._least is not None and count < self._least:
            return f"has fewer {self._unit} than {self._least:g}" if self._unit != "number" else f"is < {self._least:g}"
        if self._most is not None and count > self._most:
            return f"has more {self._unit} than {self._most:g}" if self._unit != "number" else f"is > {self._most:g}"
        return None


class InOrder:
    """Before or after what another field says, both being moments (ISO 8601) or numbers."""

    def __init__(self, other: Path, *, before: bool) -> None:
        self._other = other
        self._before = before

    def fault(self, value: Any, view: View, /) -> str | None:
        """Compare the two."""
        mine, other = moment(value), moment(view.get(self._other))
        named = ".".join(self._other)
        if mine is None or other is None:
            return f"cannot be compared with {named}: they are not both moments (ISO 8601) or both numbers"
        if (mine < other) if self._before else (mine > other):
            return None
        return f"is not {'before' if self._before else 'after'} {named}"


class SameAs:
    """The same as another field."""

    def __init__(self, other: Path) -> None:
        self._other = other

    def fault(self, value: Any, view: View, /) -> str | None:
        """Compare the two."""
        other = view.get(self._other)
        return None if other is not None and plain(value) == plain(other) else f"is not {'.'.join(self._other)}"


def moment(value: Any) -> float | None:
    """Give a moment (ISO 8601, UTC where nothing else is said) or a number as a number that can be compared."""
    if not isinstance(value, str):
        return _number(value)
    try:
        when = datetime.fromisoformat(value.strip())
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return _number(value)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool | list | dict) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _words(value: Any) -> int | None:
    return words(value) if isinstance(value, str) else None


def _characters(value: Any) -> int | None:
    return len(value) if isinstance(value, str) else None


def _items(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None  # pyright: ignore[reportUnknownArgumentType]


_COUNTS: dict[str, Callable[[Any], float | None]] = {
    "words": _words,
    "characters": _characters,
    "items": _items,
    "number": _number,
}
