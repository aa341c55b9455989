"""What an output is judged by because of what its caller says it is: JSON, a record of a kind, a table, code."""

from __future__ import annotations

import functools

from gatewright.errors import BadRequest
from gatewright.layers.validation.rules import Rule
from gatewright.types.configuration import nearest

__all__ = ["OUTPUT_TYPES", "rules_of_type"]

_SOURCES: dict[str, list[str]] = {
    "text": [],
    "json": ["json"],
    "table": ["table"],
    "code": ["code"],
    "incident": ["incident"],
    "problem": ["problem"],
    "change": ["change"],
    "request": ["request"],
    "service_request": ["request"],
    "knowledge": ["knowledge"],
    "knowledge_article": ["knowledge"],
}
OUTPUT_TYPES = tuple(_SOURCES)
"""The types that rules are known for; `text` is any text."""


@functools.cache
def rules_of_type(output_type: str) -> tuple[Rule, ...]:
    """Give the rules that an output of this type has to keep; an unknown type is a `BadRequest`."""
    from gatewright.layers.validation.sources import rules_of

    sources = _SOURCES.get(output_type)
    if sources is None:
        near = nearest(output_type, list(OUTPUT_TYPES))
        raise BadRequest(
            f"output_type: expected one of {', '.join(OUTPUT_TYPES)}, got {output_type!r}"
            + (f"; did you mean {near}?" if near else ""),
            param="output_type",
        )
    return tuple(rules_of(sources))
