"""JSON, JSON Schema and Pydantic models as formats."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.formats.json import JsonFormat
from gatewright.layers.validation.formats.model import ModelFormat
from gatewright.layers.validation.formats.schema import JsonSchema
from gatewright.layers.validation.levels import Action, Severity

TICKET = {
    "type": "object",
    "properties": {"number": {"type": "string", "pattern": "^INC"}, "priority": {"type": "integer", "maximum": 5}},
    "required": ["number"],
    "additionalProperties": False,
}


def told(rule: JsonFormat | ModelFormat, text: str) -> list[str]:
    return [problem.message for problem in rule.judge(text)]


def test_clean_json_is_right_and_stays() -> None:
    text = '{"number": "INC1", "priority": 3}'
    assert told(JsonFormat(schema=TICKET), text) == []
    assert JsonFormat(schema=TICKET).repair(text) == text


@pytest.mark.parametrize(
    ("text", "problem", "mended"),
    [
        ('```json\n{"number": "INC1"}\n```', "the JSON stands in a code fence", '{"number": "INC1"}'),
        ('Here: {"number": "INC1"}. Fine?', "the JSON stands among other text", '{"number": "INC1"}'),
        ("{'number': 'INC1',}", "its JSON has mistakes", '{"number":"INC1"}'),
    ],
)
def test_what_is_around_it_is_told_and_mended(text: str, problem: str, mended: str) -> None:
    rule = JsonFormat(schema=TICKET)
    assert told(rule, text) == [problem]
    assert rule.repair(text) == mended
    assert told(rule, mended) == []


def test_what_the_schema_says_is_told_with_its_place_but_not_its_value() -> None:
    rule = JsonFormat(schema=TICKET)
    problems = told(rule, '{"number": "hunter22", "priority": 7, "x": 1}')
    assert len(problems) == 3
    assert any(problem.startswith("$.priority: ") for problem in problems)
    assert any(problem.startswith("$.number: ") for problem in problems)
    assert "hunter22" not in str(problems)
    assert rule.repair('```\n{"priority": 7}\n```') is None


@pytest.mark.parametrize("text", ["", "Sorry.", "INC1", "null", "[]"])
def test_what_is_no_object_is_no_object(text: str) -> None:
    rule = JsonFormat(root="object")
    assert told(rule, text)
    assert rule.repair(text) is None


def test_its_severity_and_action_can_be_set() -> None:
    rule = JsonFormat(id="answer.json", severity=Severity.LOW, action=Action.WARN)
    assert (rule.id, rule.severity, rule.action) == ("answer.json", "low", "warn")
    assert (JsonFormat().id, JsonFormat().action) == ("json", "repair")


def test_two_of_the_same_settings_are_of_one_version() -> None:
    assert JsonFormat(schema=TICKET).version == JsonFormat(schema=TICKET).version
    assert JsonFormat(schema=TICKET).version != JsonFormat(schema={"type": "object"}).version


def test_the_model_is_told_the_schema() -> None:
    assert '"pattern":"^INC"' in JsonFormat(schema=TICKET).wanted()
    assert "JSON Schema" not in JsonFormat().wanted()
    assert "JSON Schema" not in JsonFormat(schema={"enum": ["x" * 10_000]}).wanted()


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "objekt"}, r"^schema\.type: "),
        ({"properties": {"a": {"minimum": "x"}}}, r"^schema\.properties\.a\.minimum: "),
        ({"pattern": "("}, r"^schema\.pattern: "),
        ({"pattern": "(?=x)"}, r"^schema\.pattern: "),
        ({"$ref": "https://example.com/x.json"}, "Retrieval is disabled"),
        ({"$ref": "#/nowhere"}, "does not exist"),
        ({"$schema": "https://example.com/draft"}, "Unknown meta-schema"),
        ("text", "a mapping, true or false"),
    ],
)
def test_a_schema_that_is_none_is_an_error_when_it_is_made(schema: Any, where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        JsonFormat(schema=schema)


class Ticket(BaseModel):
    number: str
    priority: int = Field(ge=1, le=5)

    @field_validator("number")
    @classmethod
    def _check(cls, number: str) -> str:
        if not number.startswith("INC"):
            raise ValueError("a number begins with INC")
        return number


def test_a_pydantic_class_says_what_it_accepts() -> None:
    rule = ModelFormat(model=Ticket)
    assert told(rule, '{"number": "INC1", "priority": 2}') == []
    problems = told(rule, '{"number": "secret", "priority": 9}')
    assert problems == [
        "$.number: Value error, a number begins with INC",
        "$.priority: Input should be less than or equal to 5",
    ]
    assert told(rule, "no") == ["it is not JSON"]
    assert rule.repair('```json\n{"number": "INC1", "priority": 2}\n```') == '{"number": "INC1", "priority": 2}'
    assert rule.repair('```json\n{"number": "INC1"}\n```') is None
    assert '"priority"' in rule.wanted()


SCALARS = st.none() | st.booleans() | st.integers(-20, 20) | st.text("ab", max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "object", "array", "null", "boolean"]),
            "enum": st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr),
            "minimum": st.integers(-5, 5),
            "maxLength": st.integers(0, 3),
            "pattern": st.sampled_from(["^a", "b$", "a+b"]),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "items": inner,
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=5,
)


@given(SCHEMAS, VALUES)
def test_what_is_valid_is_what_jsonschema_rs_says(schema: dict[str, Any], value: Any) -> None:
    valid = jsonschema_rs.is_valid(schema, value)
    assert (JsonSchema(schema).problems(value) == []) is valid
    rule = JsonFormat(schema=schema)
    text = json.dumps(value)
    assert (rule.judge(text) == []) is valid
    assert (rule.repair(f"```json\n{text}\n```") is not None) is valid


@given(st.dictionaries(st.sampled_from(["type", "properties", "enum", "pattern", "$ref", "items"]), VALUES, max_size=3))
def test_any_schema_is_taken_or_refused(schema: dict[str, Any]) -> None:
    try:
        JsonFormat(schema=schema).judge("{}")
    except ConfigurationError as error:
        assert "schema" in str(error)
