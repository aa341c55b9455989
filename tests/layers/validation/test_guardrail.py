"""Guardrails: levels, validators, patterns, settings, versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import BlockingCallRefused, ConfigurationError
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import Action, Severity, ValidationLevel, action_for
from gatewright.layers.validation.rules import PatternRule

EMAILS = PatternRule(id="pii.email", pattern=r"\w+@\w+\.\w+", label="EMAIL", text="an e-mail address")
KEYS = PatternRule(id="secrets.key", pattern=r"key-\d+", severity=Severity.CRITICAL, label="SECRET", text="a key")
TEXT = "write to bob@corp.com, eve@corp.com or bob@corp.com"


@pytest.mark.parametrize(
    ("level", "severity", "wanted", "located", "expected"),
    [
        ("strict", "low", None, True, "block"),
        ("strict", "critical", None, False, "block"),
        ("strict", "critical", "warn", True, "warn"),
        ("moderate", "high", None, True, "block"),
        ("moderate", "medium", None, True, "redact"),
        ("moderate", "medium", None, False, "warn"),
        ("moderate", "medium", "repair", False, "repair"),
        ("moderate", "critical", "redact", True, "redact"),
        ("lenient", "critical", None, True, "warn"),
        ("lenient", "critical", "block", True, "warn"),
    ],
)
def test_what_a_level_does(level: str, severity: str, wanted: str | None, located: bool, expected: str) -> None:
    action = None if wanted is None else Action(wanted)
    assert action_for(ValidationLevel(level), Severity(severity), action, located=located) == expected


def test_moderate_redacts_and_keeps_the_text_readable() -> None:
    result = Guardrail("g", [EMAILS]).validate(TEXT)
    assert result.is_valid
    assert result.text == "write to <EMAIL_1>, <EMAIL_2> or <EMAIL_1>"
    assert result.warnings == ["pii.email: an e-mail address"] * 3
    assert (result.score, result.metadata["guardrail"]) == (0.55, "g")


def test_strict_blocks_and_lenient_lets_through() -> None:
    guardrail = Guardrail("g", [EMAILS, KEYS])
    strict = guardrail.at("STRICT").validate(TEXT)
    assert (strict.is_valid, len(strict.errors)) == (False, 3)
    assert "bob" not in strict.text
    lenient = guardrail.at(ValidationLevel.LENIENT).validate(f"{TEXT} key-1")
    assert (lenient.is_valid, len(lenient.warnings), lenient.text) == (True, 4, f"{TEXT} key-1")
    assert not guardrail.validate("key-1").is_valid


def test_what_is_added_to_one_level_is_added_to_all() -> None:
    guardrail = Guardrail("g")
    guardrail.at("strict").add_blocked_pattern("blue")
    assert not guardrail.validate("something blue").is_valid


def test_a_validator_says_what_is_wrong() -> None:
    guardrail = Guardrail("g")
    guardrail.add_validator(lambda output: ("incident_id" in output.lower(), "Missing incident_id in response"))
    assert guardrail.validate("Incident_ID: 7").is_valid
    result = guardrail.validate("nothing")
    assert result.errors == ["validator.1: Missing incident_id in response"]
    assert guardrail.at("lenient").validate("nothing").warnings == result.errors


def test_a_validator_may_await_or_run_in_a_thread() -> None:
    async def short(output: str) -> tuple[bool, str]:
        await asyncio.sleep(0)
        return len(output) < 5, "too long"

    guardrail = Guardrail("g")
    guardrail.add_validator(short, "short")
    guardrail.add_validator(lambda output: (output.isalpha(), "not letters"), "letters", in_thread=True)
    assert guardrail.validate("abcdef1").errors == ["short: too long", "letters: not letters"]


async def test_validate_is_refused_where_it_would_have_to_wait() -> None:
    async def slow(output: str) -> tuple[bool, str]:
        await asyncio.sleep(0)
        return True, ""

    guardrail = Guardrail("g")
    assert guardrail.validate("fine").is_valid
    guardrail.add_validator(slow)
    with pytest.raises(BlockingCallRefused, match="validate_async"):
        guardrail.validate("x")
    assert (await guardrail.validate_async("x")).is_valid


@pytest.mark.parametrize(("level", "valid"), [("strict", False), ("moderate", True), ("lenient", True)])
def test_a_validator_that_raises_is_reported_and_quotes_nothing(level: str, valid: bool) -> None:
    def broken(output: str) -> Any:
        raise KeyError(output)

    guardrail = Guardrail("g", level=level)
    guardrail.add_validator(broken, "broken")
    result = guardrail.validate("top secret")
    assert result.is_valid is valid
    assert [*result.errors, *result.warnings] == ["broken: it could not judge: it raised KeyError"]


def test_a_validator_that_gives_something_else_could_not_judge() -> None:
    guardrail = Guardrail("g", level="strict")
    guardrail.add_validator(lambda output: True)  # type: ignore[arg-type,return-value]
    assert "raised TypeError" in guardrail.validate("x").errors[0]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "missing"),
        ("(?<=a)b", "look-behind is not possible in linear time"),
        ("(?!a)b", "look-ahead is not possible in linear time"),
        (r"(a)\1", "back reference"),
        ("a*", "matches the empty text"),
        (r"\b", "matches the empty text"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_and_changes_nothing(pattern: str, why: str) -> None:
    guardrail = Guardrail("g", [EMAILS])
    version = guardrail.version
    with pytest.raises(ConfigurationError, match=why):
        guardrail.add_blocked_pattern(pattern)
    assert guardrail.version == version
    assert len(guardrail.rules) == 1


def test_rules_are_set_one_by_one_or_by_family() -> None:
    guardrail = Guardrail("g", [EMAILS, KEYS])
    guardrail.set_rule("pii", action="warn")
    assert guardrail.validate(TEXT).text == TEXT
    guardrail.set_rule("pii.email", action="block")
    assert not guardrail.validate(TEXT).is_valid
    guardrail.set_rule("pii", enabled=False)
    assert guardrail.validate(TEXT).findings == []
    with pytest.raises(ConfigurationError, match=r"rules.pii.emial: there is no such rule; did you mean pii.email"):
        guardrail.set_rule("pii.emial", action="warn")
    with pytest.raises(ConfigurationError, match="action: expected"):
        guardrail.set_rule("pii", action="explode")


def test_the_version_is_what_it_judges_by() -> None:
    def rule(output: str) -> tuple[bool, str]:
        return bool(output), ""

    one, two = Guardrail("g", [EMAILS]), Guardrail("g", [EMAILS])
    assert one.version == two.version
    versions = {one.version}
    for change in (
        lambda: one.add_blocked_pattern("x"),
        lambda: one.set_rule("pii", action="warn"),
        lambda: one.add_validator(rule),
    ):
        change()
        versions.add(one.version)
    assert len(versions) == 4
    assert one.at("strict").version not in versions


def test_a_placeholder_in_json_is_json() -> None:
    number = PatternRule(id="n", pattern=r"\b\d{6}\b", label="N")
    result = Guardrail("g", [number]).validate('{"a": 123456, "b": "call \\"123456\\"", "c": [654321]}')
    assert result.text == '{"a": "<N_1>", "b": "call \\"<N_1>\\"", "c": ["<N_2>"]}'


def test_overlapping_findings_get_one_placeholder() -> None:
    rules = [PatternRule(id="a", pattern="one two", label="A"), PatternRule(id="b", pattern="two three", label="B")]
    assert Guardrail("g", rules).validate("zero one two three four").text == "zero <A_1> four"


def test_plain_data_is_judged_as_json() -> None:
    result = Guardrail("g", [EMAILS]).validate({"to": "bob@corp.com"})
    assert result.text == '{"to":"<EMAIL_1>"}'
