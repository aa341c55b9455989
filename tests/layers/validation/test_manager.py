"""The guardrails of a gateway: by configuration, by file, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.config import ValidationConfig
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.manager import ValidationManager

DEFAULT = {"name": "default", "blocked_patterns": ["forbidden"]}


def manager(*guardrails: dict[str, Any], **settings: Any) -> ValidationManager:
    return ValidationManager(ValidationConfig(guardrails=[DEFAULT, *guardrails]), **settings)  # type: ignore[list-item]


def test_the_default_guardrail_finds_secrets_and_personal_data() -> None:
    judged = ValidationManager(ValidationConfig()).validate("bob@corp.com has AKIAY3LPQ7RT5UVW2XZ4")
    assert judged.errors == ["secrets.aws-access-token: what looks like a secret (aws access token)"]
    assert judged.text == "<EMAIL_1> has <SECRET_1>"


def test_a_guardrail_is_got_by_name_and_level() -> None:
    guards = manager({"name": "desk", "level": "strict"}, level="lenient")
    assert (guards.get_guardrail().level, guards.get_guardrail("desk").level) == ("lenient", "strict")
    assert guards.get_guardrail(level="strict").level == "strict"
    with pytest.raises(ConfigurationError, match="none named 'dsek'; did you mean 'desk'"):
        guards.get_guardrail("dsek")


@pytest.mark.parametrize(
    ("side", "tenant", "model", "route", "names"),
    [
        ("output", None, "gpt-4o", "chat", "default"),
        ("output", "acme", "gpt-4o", "chat", "default,tenant,model"),
        ("output", "acme", "other", "chat", "default,tenant"),
        ("output", None, "gpt-4o", "embeddings", "default"),
        ("input", None, "gpt-4o", "embeddings", "way-in"),
        ("input", None, "gpt-4o", "chat", None),
    ],
)
def test_which_guardrails_hold(side: Any, tenant: str | None, model: str, route: str, names: str | None) -> None:
    guards = manager(
        {"name": "tenant", "tenants": "acme", "blocked_patterns": ["a"]},
        {"name": "model", "tenants": ["ac*"], "models": ["gpt-*"], "blocked_patterns": ["b"]},
        {"name": "way-in", "on": "input", "routes": "embeddings", "blocked_patterns": ["c"]},
    )
    panel = guards.panel(side, tenant, model, route)
    assert (None if panel is None else panel.names) == names


def test_of_two_guardrails_with_the_same_rule_the_stricter_holds() -> None:
    guards = manager({"name": "soft", "level": "lenient", "blocked_patterns": ["forbidden"]})
    panel = guards.panel("output", None, "m", "chat")
    assert panel is not None
    (finding,) = panel.findings_of(panel.scanner.find("forbidden"))
    assert (finding.guardrail, finding.action) == ("default", "block")


def test_changes_hold_from_the_next_call_on_and_change_the_version() -> None:
    guards = manager()
    versions = [guards.policy_version]
    assert guards.panel("output", None, "m", "chat") is not None
    guards.get_guardrail().add_blocked_pattern("added")
    versions.append(guards.policy_version)
    panel = guards.panel("output", None, "m", "chat")
    assert panel is not None
    assert panel.scanner.find("added")
    guards.register_guardrail(Guardrail("other"), tenants=["acme"])
    versions.append(guards.policy_version)
    guards.remove_guardrail("default")
    versions.append(guards.policy_version)
    assert guards.panel("output", None, "m", "chat") is None
    assert len(set(versions)) == 4


FILE = """\
guardrails:
  - name: default
    use: [pii]
    rules:
      pii.email: {action: block}
    blocked_topics:
      weather: [rain, snow storm]
  - name: desk
    tenants: acme
    blocked_patterns:
      - pattern: 'INC\\d+'
        action: warn
"""


def test_a_file_of_guardrails(tmp_path: Path) -> None:
    path = tmp_path / "guards.yaml"
    path.write_text(FILE)
    guards = ValidationManager(ValidationConfig(file=str(path)))
    assert guards.validate("It will be a Snow\nStorm, says bob@corp.com").errors == [
        "topic.weather: the topic 'weather'",
        "pii.email: an e-mail address",
    ]
    panel = guards.panel("output", "acme", "m", "chat")
    assert panel is not None
    assert panel.names == "default,desk"


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("INC\\d+", "INC(", 11, "guardrails[1].blocked_patterns[0].pattern: pattern 'INC('"),
        ("use: [pii]", "use: [pie]", 3, "guardrails[0].use[0]: there are no rules 'pie'; did you mean 'pii'"),
        ("use: [pii]", "use: [{pii: {kinds: [emial]}}]", 3, "guardrails[0].use[0].pii.kinds[0]: expected 'email'"),
        ("action: block", "action: explode", 5, "guardrails[0].rules.pii.email.action: expected"),
        ("action: warn", "severity: dire", 12, "guardrails[1].blocked_patterns[0].severity: expected"),
        (
            "tenants: acme",
            "tennants: acme",
            9,
            "guardrails[1].tennants: there is no such setting; did you mean tenant",
        ),
        ("use: [pii]", "level: harsh", 3, "guardrails[0].level: expected"),
        ("pii.email:", "pii.mail:", 4, "guardrails[0].rules.pii.mail: there is no such rule; did you mean pii.email"),
        ("[rain, snow storm]", "[]", 7, "guardrails[0].blocked_topics.weather: expected the words"),
        ("name: desk", "name: default", 1, "two named 'default'"),
        ("[pii]", "[pii", 4, "is not YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_by_line_and_key_and_the_earlier_policy_stays(
    tmp_path: Path, old: str, new: str, line: int, told: str
) -> None:
    path = tmp_path / "guards.yaml"
    path.write_text(FILE.replace(old, new))
    guards = manager()
    version = guards.policy_version
    with pytest.raises(ConfigurationError) as caught:
        guards.load(ValidationConfig(file=str(path)))
    message = str(caught.value)
    assert told in message
    assert f"{path}:{line}" in message or "two named" in told
    assert guards.policy_version == version
    assert not guards.validate("forbidden").is_valid


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        ValidationManager(ValidationConfig(file=str(tmp_path / "nowhere.yaml")))
