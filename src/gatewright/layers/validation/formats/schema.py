"""A JSON Schema, compiled once: nothing is fetched for it, and its patterns run in linear time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from gatewright.errors import ConfigurationError, MissingExtra
from gatewright.layers.validation.rules import Problem
from gatewright.types.configuration import written_path

if TYPE_CHECKING:
    import jsonschema_rs

__all__ = ["JsonSchema", "Schema", "json_path"]

MOST_TOLD = 20
"""How many faults of one text are told."""


class JsonSchema:
    """Says what of a value does not satisfy a schema; one that is no schema is a `ConfigurationError`.

    The schema is of the draft that its `$schema` names, else of 2020-12. A `$ref` leads to places in the schema itself
    or to the drafts' own documents. Patterns are without look-around and back-references.
    """

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        try:
            self._validator = _compiled(schema)
        except PydanticCustomError as error:
            where = written_path(("schema", *(error.context or {}).get("at", ())), {})
            raise ConfigurationError(f"{where}: expected {error.message()}", param=where) from None

    def problems(self, value: Any) -> list[Problem]:
        """Give what is wrong with `value`, at most `MOST_TOLD` of it."""
        if self._validator.is_valid(value):
            return []
        errors = islice(self._validator.iter_errors(value), MOST_TOLD)
        return [Problem(f"{json_path(error.instance_path)}: {error.message}") for error in errors]


def json_path(parts: Iterable[str | int]) -> str:
    """Give the place of a part of a value: `$.lines[2].name`."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _compiled(schema: dict[str, Any] | bool) -> jsonschema_rs.Validator:
    try:
        import jsonschema_rs
    except ImportError:
        raise MissingExtra("checking with a JSON Schema", "guards") from None
    try:
        return jsonschema_rs.validator_for(
            schema, offline=True, pattern_options=jsonschema_rs.RegexOptions(), mask="the value"
        )
    except jsonschema_rs.ValidationError as error:
        told, at = f"a JSON Schema: {error.message}", list(error.instance_path)
    except (ValueError, TypeError, RecursionError) as error:
        told, at = f"a JSON Schema: {error}", []
    raise PydanticCustomError("schema", "{told}", {"told": told, "at": at})


def _checked(schema: Any) -> Any:
    if not isinstance(schema, dict | bool):
        raise PydanticCustomError("schema", "{told}", {"told": "a JSON Schema: a mapping, true or false", "at": []})
    _compiled(schema)  # pyright: ignore[reportUnknownArgumentType]
    return schema  # pyright: ignore[reportUnknownVariableType]


Schema = Annotated[dict[str, Any] | bool, PlainValidator(_checked)]
"""A JSON Schema as a setting; what is wrong with it is told with its place."""
