"""A Pydantic class as `response_format`: its JSON schema on the way out, its instance on the way back."""

from __future__ import annotations

import functools
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from gatewright.errors import InvalidProviderResponse
from gatewright.types.configuration import mapping

__all__ = ["parse", "response_format_of"]


@functools.lru_cache(maxsize=256)
def response_format_of(cls: type[BaseModel]) -> dict[str, Any]:
    """Give `cls` as an OpenAI `response_format` of type `json_schema`, strict."""
    schema = _strict(cls.model_json_schema())
    return {"type": "json_schema", "json_schema": {"name": cls.__name__, "schema": schema, "strict": True}}


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
