"""A Pydantic class as `response_format`: its JSON schema on the way out, its instance on the way back."""

from __future__ import annotations

import functools
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from gatewright.errors import InvalidProviderResponse
from gatewright.types.configuration import mapping

__all__ = ["ResponseFormat", "parse", "response_format_of"]


class ResponseFormat(dict[str, Any]):
    """OpenAI's form of a Pydantic class, which remembers the class: it may accept less than its schema says."""

    __slots__ = ("model",)

    def __init__(self, model: type[BaseModel], form: dict[str, Any]) -> None:
        super().__init__(form)
        self.model = model


@functools.lru_cache(maxsize=256)
def response_format_of(cls: type[BaseModel]) -> ResponseFormat:
    """Give `cls` as an OpenAI `response_format` of type `json_schema`, strict."""
    schema = _strict(cls.model_json_schema())
    form = {"type": "json_schema", "json_schema": {"name": cls.__name__, "schema": schema, "strict": True}}
    return ResponseFormat(cls, form)


def parse(cls: type[BaseModel], text: str) -> BaseModel:
    """Read `text` as an instance of `cls`; `InvalidProviderResponse` where it is none."""
    try:
        return cls.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, fault["loc"])) or "the answer"
        raise InvalidProviderResponse(
            f"the answer is not a {cls.__name__}: {path}: {fault['msg']}", param="response_format"
        ) from error


def _strict(schema: Any) -> Any:
    """Close every object and require all its properties, as OpenAI's strict mode wants it."""
    if isinstance(schema, list):
        return [_strict(one) for one in cast("list[Any]", schema)]
    given = mapping(schema)
    if given is None:
        return schema
    strict = {name: _strict(value) for name, value in given.items() if name != "default"}
    if strict.get("type") == "object" and "properties" in strict:
        strict["additionalProperties"] = False
        strict["required"] = list(strict["properties"])
    return strict
