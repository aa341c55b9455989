"""Cases that a pack is tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.packs.cases import Case, Counts, read_cases, tried
from gatewright.layers.validation.packs.loading import shipped_pack


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "cases.jsonl:1: is no case: "),
        ('{"text": "x"}', "cases.jsonl:1: is no case: Object missing required field `expect`"),
        ('{"expect": []}', "cases.jsonl:1: is no case: expected text or record"),
        ('{"text": "x", "record": {}, "expect": []}', "cases.jsonl:1: is no case: expected text or record"),
        ('{"text": "x", "expect": [], "vaild": true}', "is no case: Object contains unknown field `vaild`"),
        ('{"text": "x", "expect": "no"}', "is no case: Expected `array`, got `str` - at `$.expect`"),
        ('{"text": "x", "expect": ["no-pasword"]}', "the pack has no rule no-pasword; did you mean security.no-passw"),
        ("", "cases.jsonl: there are no cases in it"),
    ],
)
def test_cases_that_are_none(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(line)
    with pytest.raises(ConfigurationError) as raised:
        read_cases(path, shipped_pack("security"))
    assert told in str(raised.value)


def test_a_case_is_named_by_its_line_where_it_has_no_name(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"text": "x", "expect": ["no-passwords"]}\n\n{"name": "n", "record": {"a": 1}, "expect": []}\n')
    first, second = read_cases(path, shipped_pack("security"))
    assert (first.name, first.expect, first.valid) == ("line 1", {"security.no-passwords"}, None)
    assert (second.name, second.text) == ("n", '{"a":1}')


def test_the_counts() -> None:
    counts = Counts(tp=3, fp=1, fn=2)
    assert counts.precision == 0.75
    assert counts.recall == 0.6
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert (Counts(tn=5).precision, Counts(tn=5).recall, Counts(tn=5).f1) == (None, None, None)


async def test_each_case_counts_for_each_rule() -> None:
    pack = shipped_pack("security")
    cases = [
        Case(name="right", text="password: hunter22", expect=frozenset({"security.no-passwords"})),
        Case(name="missed", text="well", expect=frozenset({"security.no-passwords"})),
        Case(name="false", text="nas.corp"),
        Case(name="verdict", text="nas.corp", expect=frozenset({"security.no-internal-hosts"}), valid=False),
    ]
    trial = await tried(pack, cases, ValidationLevel.MODERATE)
    passwords, hosts = trial.counts["security.no-passwords"], trial.counts["security.no-internal-hosts"]
    assert (passwords.tp, passwords.fp, passwords.fn, passwords.tn) == (1, 0, 1, 2)
    assert (hosts.tp, hosts.fp, hosts.fn, hosts.tn) == (1, 1, 0, 2)
    assert [(one.case, one.missed, one.unexpected) for one in trial.mismatches] == [
        ("missed", ["security.no-passwords"], []),
        ("false", [], ["security.no-internal-hosts"]),
        ("verdict", [], []),
    ]
    assert trial.total.tp + trial.total.fp + trial.total.fn + trial.total.tn == 4 * len(pack.rules)
