"""Packs and formats by their names in a guardrail's `use`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.packs import SHIPPED, load_pack
from gatewright.layers.validation.packs.loading import shipped_text
from gatewright.layers.validation.sources import rules_of


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pack_by_its_name(name: str) -> None:
    assert rules_of([name]) == list(load_pack(name).rules)


def test_a_part_of_a_pack(tmp_path: Path) -> None:
    every, form, practice = (
        [rule.id for rule in rules_of([{"incident": {"part": part}}])] for part in ("all", "format", "practice")
    )
    assert form + practice == every
    assert all(id_.startswith("incident.format.") for id_ in form)
    assert "incident.priority-matrix" in practice
    path = tmp_path / "mine.yaml"
    path.write_text(shipped_text("incident"))
    assert [rule.id for rule in rules_of([{"pack": {"file": str(path), "part": "format"}}])] == form


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ([{"incident": {"part": "half"}}], "use[0].incident.part: expected 'all', 'format' or 'practice'"),
        ([{"incident": {"prat": "all"}}], "use[0].incident.prat: there is no such setting; did you mean part?"),
        (["json", "jsno"], "use[1]: there are no rules 'jsno'; did you mean 'json'?"),
        ([{"pack": {}}], "use[0].pack.file: it is missing"),
        ([{"pack": {"file": "nowhere.yaml"}}], "use[0].pack.file: nowhere.yaml: cannot be read"),
        ([{"json": {"schema": {"type": "objekt"}}}], "use[0].json.schema.type: expected a JSON Schema: "),
        ([{"length": {"max_words": "many"}}], "use[0].length.max_words: expected a valid integer"),
        ([{"wording": {"must_match": ["("]}}], "use[0].wording.must_match[0]: expected pattern '('"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(use: list[Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        rules_of(use)
    assert str(raised.value).startswith(told)


def test_a_pack_with_a_fault_is_told_by_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("pack: mine\nversion: 1\nrules:\n  - {id: a, text: A., then: {state: {eqals: x}}}\n")
    with pytest.raises(ConfigurationError) as raised:
        rules_of([{"pack": {"file": str(path)}}])
    assert str(raised.value).startswith(f"use[0].pack.file: {path}:4: rules[0].then.state.eqals: ")
