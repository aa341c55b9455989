"""JSON, and JSON that a schema describes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from pydantic import Field, PrivateAttr

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.formats.reading import read_json
from gatewright.layers.validation.formats.schema import JsonSchema, Schema
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["JsonFormat", "schema_sentence"]

MOST_SHOWN = 8_000
"""Characters of a schema that a model is shown."""


class JsonFormat(Format):
    """JSON and nothing else: no code fence, no words around it; and what `schema` describes, if there is one.

    `root` says what the whole must be. A fence, words around the JSON, single quotes, trailing commas and the like
    are mended without asking the model again.
    """

    id: str = "json"
    text: str = "The answer is JSON and nothing else."
    root: Literal["any", "object", "array"] = "any"
    schema_: Schema | None = Field(default=None, alias="schema")

    _schema: JsonSchema | None = PrivateAttr(None)

    def model_post_init(self, context: Any, /) -> None:
        """Compile the schema."""
        self._schema = None if self.schema_ is None else JsonSchema(self.schema_)

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what is wrong; of JSON that is not clean the schema's faults are told too."""
        reading = read_json(text)
        if reading is None:
            return [Problem("it is not JSON")]
        problems = self._faults(reading.value)
        if reading.how != "as it is":
            told = "its JSON has mistakes" if reading.how == "mended" else f"the JSON stands {reading.how}"
            problems.insert(0, Problem(told))
        return problems

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give the JSON in `text` alone, where it is what was wanted."""
        reading = read_json(text)
        return None if reading is None or self._faults(reading.value) else reading.text

    def wanted(self) -> str:
        """Say it with the schema."""
        what = {"any": "JSON", "object": "one JSON object", "array": "one JSON array"}[self.root]
        return f"The whole answer is {what}: no code fence and no other text.{schema_sentence(self.schema_)}"

    def _faults(self, value: Any) -> list[Problem]:
        if self.root != "any" and not isinstance(value, dict if self.root == "object" else list):
            return [Problem(f"$: it is no {self.root}")]
        return [] if self._schema is None else self._schema.problems(value)


def schema_sentence(schema: dict[str, Any] | bool | None) -> str:
    """Give a sentence that shows a schema, unless it is too long to be read with profit."""
    written = "" if schema is None else msgspec.json.encode(schema).decode()
    return f" It satisfies this JSON Schema: {written}" if 0 < len(written) <= MOST_SHOWN else ""
