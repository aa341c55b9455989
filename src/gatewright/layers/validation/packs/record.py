"""A record read from an answer: a JSON object, or lines of `Name: value`."""

from __future__ import annotations

import re
from typing import Any

from gatewright.layers.validation.formats.reading import read_json

__all__ = ["record_of"]

FEWEST_LINES = 2
"""A single line with a colon is no record."""

_LINE = re.compile(r"^[ \t>]*(?:[-*+][ \t]+)?[*_]*([A-Za-z][A-Za-z0-9 _/-]{0,40}?)[*_]*[ \t]*:[*_]*[ \t]*(.*)$")


def record_of(text: str) -> dict[str, Any] | None:
    """Give the record that `text` is; None where it is none."""
    reading = read_json(text)
    if reading is None:
        return _from_lines(text)
    value = reading.value
    if isinstance(value, list) and len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
        value = value[0]  # pyright: ignore[reportUnknownVariableType]
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _from_lines(text: str) -> dict[str, Any] | None:
    """Read `Name: value` lines, as a form in Markdown has them; a line without a name goes on with the one before."""
    record: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            name = match[1].strip()
            record[name] = [match[2].strip().strip("*_").strip()]
        elif name and line.strip():
            record[name].append(line.strip())
    if len(record) < FEWEST_LINES:
        return None
    return {name: "\n".join(lines).strip() for name, lines in record.items()}
