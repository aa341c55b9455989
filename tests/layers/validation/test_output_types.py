"""What a caller says an output is picks the rules that it has to keep."""

from __future__ import annotations

import json

import pytest

from gatewright.errors import BadRequest
from gatewright.layers.validation.formats import LengthFormat, WordingFormat
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import Action, ValidationLevel
from gatewright.layers.validation.output_types import OUTPUT_TYPES, rules_of_type

INCIDENT = {
    "incident_id": "INC0012345",
    "title": "The mail server is not reachable",
    "caller": "Ada",
    "state": "New",
    "impact": "high",
    "urgency": "high",
    "priority": "critical",
}


def test_json() -> None:
    guardrail = Guardrail()
    assert guardrail.validate("{}", output_type="json").is_valid
    assert not guardrail.validate("no", output_type="json").is_valid
    assert guardrail.validate("no").is_valid
    fenced = guardrail.validate("```json\n[1]\n```", output_type="json")
    assert (fenced.is_valid, fenced.text) == (True, "[1]")


def test_an_incident() -> None:
    guardrail = Guardrail(level=ValidationLevel.STRICT)
    text = json.dumps(INCIDENT)
    assert guardrail.validate(text, output_type="incident").is_valid
    skipped = guardrail.validate(json.dumps({**INCIDENT, "state": "closed"}), {"previous_state": "new"}, "incident")
    assert {finding.rule for finding in skipped.findings} == {
        "incident.format.transition",
        "incident.categorised",
        "incident.resolution-before-closing",
        "incident.confirmed-before-closing",
    }
    assert skipped.metadata["output_type"] == "incident"
    assert not guardrail.validate(text, output_type="problem").is_valid


def test_a_guardrail_that_has_a_pack_asks_it_once() -> None:
    guardrail = Guardrail(rules=rules_of_type("incident"))
    wrong = guardrail.validate(json.dumps({**INCIDENT, "priority": "low"}), output_type="incident")
    assert [finding.rule for finding in wrong.findings] == ["incident.priority-matrix"]
    assert wrong.metadata["guardrail"] == "default"


def test_rules_that_are_added_later_hold_too() -> None:
    guardrail = Guardrail()
    assert guardrail.validate("{}", output_type="json").is_valid
    guardrail.add_rule(LengthFormat(min_characters=3))
    assert not guardrail.validate("{}", output_type="json").is_valid


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(BadRequest, match="did you mean incident") as raised:
        Guardrail().validate("{}", output_type="incidnet")
    assert raised.value.param == "output_type"


@pytest.mark.parametrize("output_type", OUTPUT_TYPES)
def test_each_type_has_its_rules(output_type: str) -> None:
    assert bool(rules_of_type(output_type)) is (output_type != "text")
    Guardrail().validate("Good morning.", output_type=output_type)


def test_words_that_must_not_stand_there_are_redacted_where_that_is_wanted() -> None:
    rule = WordingFormat(must_not_contain=("codename",), action=Action.REDACT)
    result = Guardrail(rules=[rule]).validate("The Codename is known; codename, codename.")
    assert result.is_valid
    assert result.text == "The <REDACTED_1> is known; <REDACTED_2>, <REDACTED_2>."
