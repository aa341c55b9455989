"""What a request asks for by its response_format."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, field_validator

from gatewright.layers.validation.formats.response import ResponseFormatRule, asks_for_form
from gatewright.layers.validation.rules import Context
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.schemas import ResponseFormat, response_format_of

RULE = ResponseFormatRule()
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "required": ["a"]}}}


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("an even number")
        return number


def asked(response_format: Any) -> Context:
    params = {} if response_format is None else {"response_format": response_format}
    return Context(request=GenerateRequest(model="m", messages=[], params=params))


@pytest.mark.parametrize(
    ("response_format", "right", "wrong"),
    [
        ({"type": "json_object"}, "{}", "[]"),
        ({"type": "json_object"}, '{"a": 1}', "words"),
        (SCHEMA, '{"a": 1}', '{"b": 1}'),
        (response_format_of(Even), '{"number": 2}', '{"number": 3}'),
    ],
)
def test_what_was_asked_for_is_held_to(response_format: Any, right: str, wrong: str) -> None:
    context = asked(response_format)
    assert RULE.judge(right, context) == []
    assert RULE.judge(wrong, context)
    assert RULE.repair(f"```json\n{right}\n```", context) == right
    assert RULE.repair(f"```json\n{wrong}\n```", context) is None


@pytest.mark.parametrize("response_format", [None, {"type": "text"}, "json", {"type": "json_schema", "json_schema": 3}])
def test_where_nothing_is_asked_for_any_text_will_do(response_format: Any) -> None:
    context = asked(response_format)
    assert RULE.judge("{}", context) == []
    if not asks_for_form(context.request):
        assert RULE.judge("words", context) == []
        assert RULE.repair("words", context) is None


def test_a_schema_that_is_none_is_its_providers_business() -> None:
    wrong = {"type": "json_schema", "json_schema": {"schema": {"type": "objekt"}}}
    assert RULE.judge("words", asked(wrong)) == []


def test_outside_of_a_call_nothing_is_asked_for() -> None:
    assert RULE.judge("words") == []
    assert not asks_for_form(EmbedRequest(model="m", inputs=["a"]))


def test_the_form_of_a_class_remembers_it_and_is_plain_json_for_all_else() -> None:
    form = response_format_of(Even)
    assert isinstance(form, ResponseFormat)
    assert form is response_format_of(Even)
    assert json.loads(msgspec.json.encode(form)) == json.loads(json.dumps(form)) == form
    for other in (copy.copy(form), copy.deepcopy(form), pickle.loads(pickle.dumps(form))):
        assert other == form
        assert other.model is Even
