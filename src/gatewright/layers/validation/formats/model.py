"""What a Pydantic model accepts."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.formats.json import JsonFormat, schema_sentence
from gatewright.layers.validation.formats.reading import read_json
from gatewright.layers.validation.formats.schema import MOST_TOLD, json_path
from gatewright.layers.validation.rules import Context, Problem

__all__ = ["ModelFormat"]

_JSON = JsonFormat()


class ModelFormat(Format):
    """JSON that a Pydantic class accepts, its own validators included."""

    id: str = "model"
    text: str = "The answer is JSON that the class accepts, and nothing else."
    model: type[BaseModel]

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what the class does not accept."""
        return _JSON.judge(text) or self._problems(text)

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give the JSON in `text` alone, where the class accepts it."""
        reading = read_json(text)
        return None if reading is None or self._problems(reading.text) else reading.text

    def wanted(self) -> str:
        """Say it with the class's schema."""
        return _JSON.wanted() + schema_sentence(self.model.model_json_schema())

    def _problems(self, text: str) -> list[Problem]:
        try:
            self.model.model_validate_json(text)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
            return [Problem(f"{json_path(one['loc'])}: {one['msg']}") for one in found[:MOST_TOLD]]
        return []
