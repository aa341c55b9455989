"""The fields that a pack speaks of: under which names a record has them, and what words they are written in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from gatewright.layers.validation.packs.words import BLANK, is_blank, plain

__all__ = ["CONTEXT", "PREVIOUS", "Field", "View"]

PREVIOUS = "previous"
"""The record as it was before, which the context gives as `previous`, or its state alone as `previous_state`."""
CONTEXT = "context"
"""What the caller of `validate` gave as its context."""


class Field(msgspec.Struct, frozen=True):
    """A field: its other names, and the words for its values, each with the one that rules know it by."""

    name: str
    also: tuple[str, ...] = ()
    words: Mapping[str, str] = {}
    """From a word as it is written (made plain) to the word that rules have for it."""

    @property
    def values(self) -> list[str]:
        """The words that rules have for its values."""
        return list(dict.fromkeys(self.words.values()))


NO_FIELDS: Mapping[str, Field] = {}


class View:
    """A record, a text and a context, looked at through the fields of a pack."""

    __slots__ = ("_blank", "_fields", "_known", "_named", "context", "record", "text")

    def __init__(
        self,
        text: str,
        record: Mapping[str, Any] | None,
        context: Mapping[str, Any],
        fields: Mapping[str, Field] = NO_FIELDS,
        blank: Collection[str] = BLANK,
    ) -> None:
        self.text = text
        self.record = record
        self.context = context
        self._fields = fields
        self._blank = blank
        self._named = _by_plain_name(record)
        self._known: dict[tuple[str, ...], Any] = {}

    def get(self, path: tuple[str, ...]) -> Any:
        """Give the value at a path; None where there is none, or where it says nothing."""
        try:
            return self._known[path]
        except KeyError:
            value = self._known[path] = self._found(path)
            return value

    def _found(self, path: tuple[str, ...]) -> Any:
        value = self._first(path[0]) if len(path) == 1 else self._inner(path)
        return None if is_blank(value, self._blank) else value

    def inner(self, item: Any) -> View:
        """Give an item of a list as a record of its own."""
        return View(self.text, item if isinstance(item, dict) else None, self.context, self._fields, self._blank)  # pyright: ignore[reportUnknownArgumentType]

    def _inner(self, path: tuple[str, ...]) -> Any:
        head, rest = path[0], path[1:]
        if head == PREVIOUS:
            return View(self.text, _previous(self.context, rest), {}, self._fields, self._blank).get(rest)
        value: Any = self.context if head == CONTEXT else self._first(head)
        for part in rest:
            value = _by_plain_name(value).get(part) if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownArgumentType]
        return value

    def _first(self, name: str) -> Any:
        field = self._fields.get(name)
        value = self._named.get(name)
        if field is None:
            return value
        if value is None:
            value = next((self._named[other] for other in field.also if other in self._named), None)
        if field.words and isinstance(value, str | int | float):
            return field.words.get(plain(value), value)
        return value


def _by_plain_name(record: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if record is None else {plain(name): value for name, value in record.items()}


def _previous(context: Mapping[str, Any], rest: tuple[str, ...]) -> Mapping[str, Any] | None:
    given = context.get(PREVIOUS)
    if isinstance(given, Mapping):
        return given  # pyright: ignore[reportUnknownVariableType]
    state = context.get("previous_state")
    return None if state is None else {rest[0]: state}
