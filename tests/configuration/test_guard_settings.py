"""Guards in a configuration file: what is wrong with them is told by file, line and key when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright import GatewayConfig
from gatewright.configuration.check import check_file
from gatewright.errors import ConfigurationError

HEAD = "providers: [simulator]\nenable_validation: true\nvalidation:\n  guardrails:\n    - name: desk\n      "
WRONG = [
    ("levl: strict", "6: validation.guardrails[0].levl: there is no such setting; did you mean level?"),
    ("level: strickt", "6: validation.guardrails[0].level: expected 'strict', 'moderate' or 'lenient'"),
    ("use: [incident, jsno]", "6: validation.guardrails[0].use[1]: there are no rules 'jsno'; did you mean 'json'?"),
    (
        "use:\n        - json:\n            schema:\n              type: objekt",
        "9: validation.guardrails[0].use[0].json.schema.type: expected a JSON Schema: ",
    ),
    ("use:\n        - length: {max_word: 3}", "7: validation.guardrails[0].use[0].length.max_word: there is no such"),
    ("blocked_patterns:\n        - good\n        - (", "8: validation.guardrails[0].blocked_patterns[1].pattern: "),
    ("rules:\n        pii: {action: drop}\n      use: [pii]", "7: validation.guardrails[0].rules.pii.action: expected"),
    ("use: [{pack: {file: nowhere.yaml}}]", "6: validation.guardrails[0].use[0].pack.file: nowhere.yaml: cannot be"),
]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(HEAD + text + "\n")
    return path


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_is_wrong_is_told_by_file_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    for read in (
        lambda: GatewayConfig.from_yaml(path),
        lambda: GatewayConfig.from_env({"GATEWRIGHT_CONFIG": str(path)}),
    ):
        with pytest.raises(ConfigurationError) as raised:
            read()
        assert str(raised.value).startswith(f"{path}:{told}")


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_check_config_tells_it_too(tmp_path: Path, text: str, told: str) -> None:
    errors = check_file(written(tmp_path, text), {}).errors
    assert len(errors) == 1
    assert told.partition(": ")[2] in errors[0]


def test_a_file_of_guardrails_is_told_by_its_own_lines(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("guardrails:\n  - name: desk\n    use:\n      - wording: {must_match: ['(']}\n")
    path = tmp_path / "config.yaml"
    path.write_text(f"providers: [simulator]\nvalidation: {{file: '{rules}'}}\n")
    with pytest.raises(ConfigurationError) as raised:
        GatewayConfig.from_yaml(path)
    assert str(raised.value).startswith(f"{rules}:4: guardrails[0].use[0].wording.must_match[0]: expected pattern '('")


def test_what_is_right_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "use: [incident, {length: {max_words: 3}}]")
    config = GatewayConfig.from_yaml(path)
    assert config.validation is not None
    assert check_file(path, {}).errors == []


def test_a_fault_elsewhere_is_told_as_ever(tmp_path: Path) -> None:
    path = written(tmp_path, "use: [incident]\ntimeout: soon")
    with pytest.raises(ConfigurationError, match="timeout: expected a valid number"):
        GatewayConfig.from_yaml(path)
