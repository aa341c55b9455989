"""Conditions read from YAML: every key is known or an error, every pattern is compiled, every table is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gatewright.errors import ConfigurationError, MissingExtra
from gatewright.layers.validation.formats.patterns import Pattern
from gatewright.layers.validation.formats.wording import WordingFormat
from gatewright.layers.validation.packs.conditions import (
    Absent,
    All,
    Any,
    Condition,
    Each,
    Not,
    Required,
    Tested,
    Wording,
)
from gatewright.layers.validation.packs.fields import CONTEXT, PREVIOUS, Field
from gatewright.layers.validation.packs.values import (
    Counted,
    InOrder,
    LookedUp,
    Matching,
    OneOf,
    Path,
    SameAs,
    Table,
    ValueTest,
)
from gatewright.layers.validation.packs.words import plain, spellings
from gatewright.types.configuration import nearest
from gatewright.types.written import Written

__all__ = ["TESTS", "WORDINGS", "ConditionReader", "pattern_of"]

WORDINGS = ("must_contain", "must_not_contain", "must_match", "must_not_match")
"""Conditions on the text."""
TOGETHER = ("all", "any", "not")
COUNTED = {
    "min_words": ("words", "least"),
    "max_words": ("words", "most"),
    "min_characters": ("characters", "least"),
    "max_characters": ("characters", "most"),
    "min_items": ("items", "least"),
    "max_items": ("items", "most"),
    "at_least": ("number", "least"),
    "at_most": ("number", "most"),
}
TESTS = (
    *("required", "absent", "equals", "one_of", "matches", "lookup", "before", "after", "same_as", "some", "every"),
    *COUNTED,
)
"""What a field can be put to."""


class ConditionReader:
    """Reads the conditions of one pack: those of its `fields` (all there can be, if it names any) and `tables`."""

    def __init__(self, fields: Mapping[str, Field], tables: Mapping[str, Table]) -> None:
        self._fields = fields
        self._tables = tables

    def condition(self, written: Written, *, inside: bool = False) -> Condition:
        """Read a mapping: all of its entries have to hold. `inside` an item of a list any field may be meant."""
        entries = written.mapping()
        if not entries:
            raise written.fault("expected a condition, got an empty one")
        wordings = [key for key in entries if key in WORDINGS]
        conditions: list[Condition] = [_wording(written, wordings)] if wordings else []
        for key, entry in entries.items():
            if key in TOGETHER:
                conditions.append(self._together(key, entry, inside))
            elif key not in WORDINGS:
                conditions += self._field(key, entry, inside)
        return conditions[0] if len(conditions) == 1 else All(conditions)

    def _together(self, key: str, entry: Written, inside: bool) -> Condition:
        if key == "not":
            return Not(self.condition(entry, inside=inside), said(entry))
        parts = [self.condition(one, inside=inside) for one in entry.listed()]
        if not parts:
            raise entry.fault("expected conditions, got an empty list")
        return All(parts) if key == "all" else Any(parts)

    def _field(self, key: str, entry: Written, inside: bool) -> Iterable[Condition]:
        path = self._path(key, entry, inside)
        if isinstance(entry.value, str) and entry.value in ("required", "absent"):
            yield Required(path) if entry.value == "required" else Absent(path)
            return
        if not isinstance(entry.value, dict):
            raise entry.fault(f"expected required, absent or tests of the field {key}, got {entry.kind}")
        tests = entry.mapping(TESTS)
        if not tests:
            raise entry.fault(f"expected tests of the field {key}, got none")
        for name, value in tests.items():
            yield self._tested(path, name, value, inside)

    def _path(self, key: str, entry: Written, inside: bool) -> Path:
        head, *rest = parts = [plain(part) for part in key.split(".")]
        if not all(parts) or (head in (PREVIOUS, CONTEXT) and not rest):
            raise entry.fault("expected the name of a field")
        if inside or not self._fields or head == CONTEXT:
            return tuple(parts)
        named = rest[0] if head == PREVIOUS else head
        if named not in self._fields:
            near = nearest(named, list(self._fields))
            raise entry.fault(f"the pack has no field {named}" + (f"; did you mean {near}?" if near else ""))
        return tuple(parts)

    def _tested(self, path: Path, name: str, value: Written, inside: bool) -> Condition:
        if name in ("required", "absent"):
            if value.value is not True:
                raise value.fault(f"expected true, got {value.kind}")
            return Required(path) if name == "required" else Absent(path)
        if name in ("some", "every"):
            return Each(path, self.condition(value, inside=True), some=name == "some")
        return Tested(path, self._test(path, name, value, inside))

    def _test(self, path: Path, name: str, value: Written, inside: bool) -> ValueTest:
        if name in ("equals", "one_of"):
            listed = [value] if name == "equals" else value.listed()
            if not listed:
                raise value.fault("expected values, got an empty list")
            return OneOf([self._known_word(path, one) for one in listed])
        if name == "matches":
            return Matching(pattern_of(value))
        if name == "lookup":
            return self._lookup(value, inside)
        if name == "same_as":
            return SameAs(self._path(value.text(), value, inside))
        if name in ("before", "after"):
            return InOrder(self._path(value.text(), value, inside), before=name == "before")
        unit, bound = COUNTED[name]
        number = value.number() if unit == "number" else value.whole_number()
        return Counted(unit, **{bound: number})  # pyright: ignore[reportArgumentType]

    def _known_word(self, path: Path, value: Written) -> str | int | float | bool:
        """Give a value that a field is compared with; where the field has words, it has to be one of them."""
        given = value.scalar()
        name = path[1] if path[0] == PREVIOUS and len(path) == 2 else path[0] if len(path) == 1 else ""
        field = self._fields.get(name)
        if field is not None and field.words and set(spellings(given)).isdisjoint(field.values):
            raise value.fault(f"{name} is never {given}: expected one of {', '.join(field.values)}")
        return given

    def _lookup(self, value: Written, inside: bool) -> LookedUp:
        entries = value.mapping(["table", "by"], required=["table", "by"])
        if not self._tables:
            raise entries["table"].fault("the pack has no tables")
        table = self._tables[entries["table"].one_of(self._tables)]
        by = [self._path(one, entries["by"], inside) for one in entries["by"].texts()]
        if len(by) != _depth(table):
            raise entries["by"].fault(f"the table is {_depth(table)} deep, so it takes as many fields, not {len(by)}")
        return LookedUp(table, by)


def pattern_of(value: Written) -> Pattern:
    """Compile a pattern; upper and lower case are one in it."""
    written = value.text()
    try:
        return Pattern(written, ignore_case=True)
    except MissingExtra:
        raise
    except ConfigurationError as error:
        raise value.fault(error.message) from None


def said(written: Written) -> str:
    """Give a condition in the words of its file, in one line."""
    return _flow(written.value)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_flow(one)}" for key, one in value.items())  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    return str(value)


def _wording(written: Written, keys: list[str]) -> Wording:
    entries = written.mapping()
    for key in keys:
        for one in [entries[key]] if isinstance(entries[key].value, str) else entries[key].listed():
            one.text()
            if key.endswith("match"):
                pattern_of(one)
    return Wording(WordingFormat(**{key: tuple(entries[key].texts()) for key in keys}))  # pyright: ignore[reportArgumentType]


def _depth(table: object) -> int:
    return 1 + _depth(next(iter(table.values()))) if isinstance(table, dict) else 0  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
