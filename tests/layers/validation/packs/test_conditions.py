"""The language of packs: what each condition means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.packs import SHIPPED, load_pack, read_pack
from gatewright.layers.validation.packs.record import record_of


def faults(condition: str, record: Any, context: dict[str, Any] | None = None, top: str = "") -> list[str]:
    text = f"pack: desk\nversion: 1\n{top}\nrules:\n  - id: it\n    text: It is so.\n    then: {condition}\n"
    guardrail = Guardrail("desk", read_pack(text, "desk.yaml").rules, level=ValidationLevel.STRICT)
    output = record if isinstance(record, str) else json.dumps(record)
    result = guardrail.validate(output, context)
    return [finding.message.removeprefix("It is so. (").removesuffix(")") for finding in result.findings]


@pytest.mark.parametrize(
    ("condition", "holds", "fails", "told"),
    [
        ("{a: required}", {"a": 0}, {"a": " "}, "a is missing"),
        ("{a: required}", {"a": False}, {"a": "N/A"}, "a is missing"),
        ("{a: absent}", {"a": "tbd"}, {"a": "x"}, "a is there"),
        ("{a: {equals: in progress}}", {"A": "In-Progress"}, {"a": "new"}, "a is not in_progress"),
        ("{a: {equals: 1}}", {"a": "1"}, {"a": 2.5}, "a is not 1"),
        ("{a: {equals: 1}}", {"a": 1.0}, {}, "a is missing"),
        ("{a: {equals: yes}}", {"a": "yes"}, {"a": "no"}, "a is not true"),
        ("{a: {equals: yes}}", {"a": True}, {"a": [True]}, "a is not true"),
        ("{a: {one_of: [x, y]}}", {"a": "Y"}, {"a": "z"}, "a is not one of x, y"),
        ("{a: {matches: '^inc[0-9]+$'}}", {"a": "INC1"}, {"a": "INC"}, "a does not match ^inc[0-9]+$"),
        ("{a: {min_words: 2}}", {"a": "two words"}, {"a": "one"}, "a has fewer words than 2"),
        ("{a: {max_words: 2}}", {"a": "two words"}, {"a": "one two three"}, "a has more words than 2"),
        ("{a: {min_characters: 2}}", {"a": "ab"}, {"a": "b"}, "a has fewer characters than 2"),
        ("{a: {min_items: 2}}", {"a": [1, 2]}, {"a": "one"}, "a has no items to be counted"),
        ("{a: {max_items: 1}}", {"a": [1]}, {"a": [1, 2]}, "a has more items than 1"),
        ("{a: {at_least: 0.5}}", {"a": "0.5"}, {"a": 0.4}, "a is < 0.5"),
        ("{a: {at_most: 3}}", {"a": -1}, {"a": "four"}, "a has no number to be counted"),
        ("{a: {same_as: b}}", {"a": "X y", "b": "x Y"}, {"a": 1, "b": 2}, "a is not b"),
        ("{a: {before: b}}", {"a": "2026-01-01", "b": "2026-01-01T00:00:01Z"}, {"a": 2, "b": 1}, "a is not before b"),
        ("{a: {after: b}}", {"a": 2, "b": 1}, {"a": "soon", "b": "2026-01-01"}, "a cannot be compared with b"),
        (
            "{a: {some: {b: {equals: x}}}}",
            {"a": [{"b": "y"}, {"b": "x"}]},
            {"a": [{"b": "y"}]},
            "in none of a it is so",
        ),
        ("{a: {every: {b: required}}}", {"a": {"b": 1}}, {"a": [{"b": 1}, {}]}, "a[1]: b is missing"),
        ("{a.b: {equals: x}}", {"a": {"B": "x"}}, {"a": "x"}, "a.b is missing"),
        ("{all: [{a: required}, {b: required}]}", {"a": 1, "b": 1}, {"a": 1}, "b is missing"),
        ("{any: [{a: required}, {b: required}]}", {"b": 1}, {"c": 1}, "a is missing and b is missing"),
        ("{not: {a: {equals: x}}}", {"a": "y"}, {"a": "x"}, "this holds and must not: a: equals: x"),
        ("{a: required, b: absent}", {"a": 1}, {"a": 1, "b": 1}, "b is there"),
        ("{must_contain: [sorry]}", '{"a": "Sorry!"}', '{"a": "no"}', "'sorry' is missing"),
        ("{must_match: ['INC[0-9]{7}']}", "see inc0012345", "see INC1", "nothing matches"),
        ("{must_not_contain: [guarantee]}", "we try", "we Guarantee it", "word number 1 of must_not_contain is there"),
    ],
)
def test_a_condition_holds_or_says_why_not(condition: str, holds: Any, fails: Any, told: str) -> None:
    assert faults(condition, holds) == []
    found = faults(condition, fails)
    assert len(found) == 1
    assert found[0].startswith(told)


def test_a_rule_holds_only_when_it_is_meant() -> None:
    text = (
        "pack: desk\nversion: 1\nrules:\n  - id: it\n    text: It is so.\n"
        "    when: {state: {equals: closed}}\n    then: {resolution: required}\n"
    )
    guardrail = Guardrail("desk", read_pack(text, "desk.yaml").rules, level=ValidationLevel.STRICT)
    assert guardrail.validate('{"state": "open"}').is_valid
    assert guardrail.validate('{"x": 1}').is_valid
    failed = guardrail.validate('{"state": "Closed"}')
    assert failed.errors == ["desk.it: It is so. (resolution is missing)"]


def test_a_table_says_what_a_field_has_to_be() -> None:
    top = "tables: {matrix: {high: {high: 1, low: 2}, low: {high: 2, low: 3}}}"
    lookup = "{p: {lookup: {table: matrix, by: [i, u]}}}"
    assert faults(lookup, {"p": 2, "i": "High", "u": "LOW"}, top=top) == []
    assert faults(lookup, {"p": 1, "i": "low", "u": "low"}, top=top) == ["p is not 3, which it is by i and u"]
    assert faults(lookup, {"p": 1, "i": "low"}, top=top)[0].startswith("p cannot be told")


def test_fields_have_other_names_and_words() -> None:
    top = "fields: {state: {also: [status], words: {open: [1, new], closed: [7]}}}"
    assert faults("{state: {equals: open}}", {"Status": "New"}, top=top) == []
    assert faults("{state: {equals: open}}", {"status": 7}, top=top) == ["state is not open"]
    assert faults("{previous.state: {equals: open}}", {"x": 1, "y": 2}, {"previous_state": "1"}, top) == []
    assert faults("{previous.state: {equals: open}}", {"x": 1}, {"previous": {"Status": 7}}, top) == [
        "previous.state is not open"
    ]


def test_the_context_can_be_asked() -> None:
    assert faults("{context.channel: {equals: phone}}", "any text", {"channel": "Phone"}) == []
    assert faults("{context.channel: {equals: phone}}", "any text", {}) == ["context.channel is missing"]


def test_words_that_say_nothing_are_the_packs_own() -> None:
    assert faults("{a: required}", {"a": "tbd"}, top="blank: [nil]") == []
    assert faults("{a: required}", {"a": "NIL"}, top="blank: [nil]") == ["a is missing"]


def test_rules_of_fields_say_nothing_of_a_text_that_is_no_record() -> None:
    assert faults("{a: required}", "Good morning.") == []


def test_a_forbidden_pattern_alone_is_a_pattern_rule_and_can_be_redacted() -> None:
    text = (
        "pack: desk\nversion: 1\nrules:\n  - id: hosts\n    text: No hosts.\n    severity: low\n    label: HOST\n"
        "    then: {must_not_match: ['[a-z0-9]+\\.corp', '[a-z]+\\.lan']}\n"
    )
    guardrail = Guardrail("desk", read_pack(text, "desk.yaml").rules)
    result = guardrail.validate("See DB01.corp and nas.lan.")
    assert result.is_valid
    assert result.text == "See <HOST_1> and <HOST_2>."
    assert [finding.rule for finding in result.findings] == ["desk.hosts", "desk.hosts"]


@pytest.mark.parametrize(
    "text",
    [
        '{"number": "INC1", "state": "New"}',
        '```json\n{"number": "INC1", "state": "New"}\n```',
        '[{"number": "INC1", "state": "New"}]',
        "number: INC1\nstate: New",
        "Here is the incident:\n\n- **number:** INC1\n- **state**: New",
        "> number: INC1\n> state: New",
    ],
)
def test_a_record_is_read_from_json_or_from_lines(text: str) -> None:
    record = record_of(text)
    assert record is not None
    assert (record["number"], record["state"]) == ("INC1", "New")


def test_lines_go_on() -> None:
    assert record_of("a: one\ntwo\n\nb: three") == {"a": "one\ntwo", "b": "three"}


@pytest.mark.parametrize("text", ["", "Good morning.", "Note: this is text.", "[1, 2]", "3"])
def test_what_is_no_record_is_none(text: str) -> None:
    assert record_of(text) is None


@pytest.mark.parametrize(
    "piece", ["a: b\n", "\n", "*", "_", " ", "- a: ", "{", '{"a":', "a: b\nmore ", "a-", "password: ", "x.corp "]
)
@pytest.mark.parametrize("name", SHIPPED)
def test_hostile_texts_come_to_an_end(name: str, piece: str) -> None:
    Guardrail(name, load_pack(name).rules).validate(piece * 20_000)
    Guardrail(name, load_pack(name).rules).validate("a: b\n" + f"{piece}\n" * 5_000)


def test_a_record_of_great_depth_is_judged() -> None:
    text = '{"state": "new", "deep": ' + "[" * 900 + "]" * 900 + "}"
    assert not Guardrail("x", load_pack("incident").rules).validate(text).is_valid
