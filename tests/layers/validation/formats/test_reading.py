"""JSON read tolerantly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.layers.validation.formats.reading import fenced, read_json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value", "how"),
    [
        (' {"a": 1}\n', {"a": 1}, "as it is"),
        ("3", 3, "as it is"),
        ('```json\n{"a": 1}\n```', {"a": 1}, "in a code fence"),
        ("Here you are:\n```\n[1, 2]\n```\nI hope it helps.", [1, 2], "in a code fence"),
        ('```json\n{"a": 1}', {"a": 1}, "in a code fence"),
        ('As [1] has it: {"a": {"b": [1, 2]}}. Fine?', {"a": {"b": [1, 2]}}, "among other text"),
        ('{ I think } {"a": 1}', {"a": 1}, "among other text"),
        ("{'a': True, 'b': [1, 2,],}", {"a": True, "b": [1, 2]}, "mended"),
        ('{"a": 1, "b": [1, 2', {"a": 1, "b": [1, 2]}, "mended"),
        ('Sure! {"a": "x" "b": 2}', {"a": "x", "b": 2}, "mended"),
        ("```json\n{'a': 1}\n```", {"a": 1}, "mended"),
    ],
)
def test_json_is_found_in_a_text(text: str, value: Any, how: str) -> None:
    reading = read_json(text)
    assert reading is not None
    assert (reading.value, reading.how) == (value, how)
    assert json.loads(reading.text) == value


@pytest.mark.parametrize(
    "text",
    ["", "Sorry, I cannot help.", "a: 1", "{", "[", "NaN", '{"a": NaN', "{}{}x{", "\ud800", '"' + "x" * 10, "[" * 5000],
)
def test_where_there_is_no_json_none_is_invented(text: str) -> None:
    reading = read_json(text)
    assert reading is None or (isinstance(reading.value, dict) and reading.value)


def test_what_is_not_json_is_not_taken_for_it_strictly() -> None:
    assert read_json('{"a": NaN}', mend=False) is None
    assert read_json("{'a': 1}", mend=False) is None


@pytest.mark.parametrize("piece", ["{", "[", '{"a":', "```", "[{", '{"', "{'", "]", "{}", "/*", '\\"', "```json\n"])
def test_hostile_texts_come_to_an_end(piece: str) -> None:
    read_json(piece * 20_000)


def test_several_fences_are_not_one() -> None:
    assert fenced("```\n1\n```\n```\n2\n```") is None
    assert fenced("no fence") is None
    assert fenced("```json") is None


@given(VALUES)
def test_json_stays_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    reading = read_json(text)
    assert reading is not None
    assert (reading.how, reading.text) == ("as it is", text)


@given(
    VALUES.filter(lambda value: isinstance(value, dict | list) and bool(value)),
    st.sampled_from(
        ["```json\n{}\n```", "```\n{}\n```", "Sure, here it is:\n\n{}\n\nAnything else?", "{} done", "```json\n{}"]
    ),
)
def test_json_is_taken_out_of_its_surroundings_as_it_stands(value: Any, around: str) -> None:
    text = json.dumps(value)
    reading = read_json(around.replace("{}", text))
    assert reading is not None
    assert json.loads(reading.text) == value


@given(st.text(alphabet="{}[]\"':,ab1 \n`\\t", max_size=80))
def test_any_text_is_read_or_not(text: str) -> None:
    reading = read_json(text)
    if reading is not None:
        json.loads(reading.text)
