"""The form that a request asks for by its `response_format`: what comes back has to have it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.formats.base import NOWHERE, Format
from gatewright.layers.validation.formats.json import JsonFormat
from gatewright.layers.validation.formats.model import ModelFormat
from gatewright.layers.validation.rules import Context, Problem
from gatewright.types.configuration import mapping
from gatewright.types.schemas import ResponseFormat

__all__ = ["ResponseFormatRule", "asks_for_form"]

KNOWN_SCHEMAS = 256
"""How many requests' schemas are kept compiled."""

_encode = msgspec.json.Encoder().encode


class ResponseFormatRule(Format):
    """JSON where the request asks for JSON, of its schema or Pydantic class where it gives one."""

    id: str = "response-format"
    text: str = "The answer has the form that the request's response_format asks for."

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what is wrong; nothing where the request asks for no form."""
        form = form_of(context.request)
        return [] if form is None else form.judge(text, context)

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give the JSON in `text` alone, where it is what was asked for."""
        form = form_of(context.request)
        return None if form is None else form.repair(text, context)


def asks_for_form(request: Any) -> bool:
    """Whether a request asks for JSON."""
    wanted = mapping(getattr(request, "params", {}).get("response_format"))
    return wanted is not None and wanted.get("type") in ("json_object", "json_schema")


def form_of(request: Any) -> Format | None:
    """Give the format that a request asks for; None where it asks for none, or for a schema that is none."""
    if not asks_for_form(request):
        return None
    wanted: Mapping[str, Any] = request.params["response_format"]
    if isinstance(wanted, ResponseFormat):
        return _of_model(wanted.model)
    try:
        return _of_schema(_encode(wanted))
    except (ConfigurationError, TypeError, ValueError):
        return None  # its provider has taken it for one all the same


@functools.lru_cache(maxsize=KNOWN_SCHEMAS)
def _of_model(model: Any) -> Format:
    return ModelFormat(model=model)


@functools.lru_cache(maxsize=KNOWN_SCHEMAS)
def _of_schema(wanted: bytes) -> Format:
    form = msgspec.json.decode(wanted)
    if form["type"] == "json_object":
        return JsonFormat(root="object")
    schema = mapping(form.get("json_schema")) or {}
    given = schema.get("schema")
    return JsonFormat(schema=given) if given is not None else JsonFormat()
