"""`gatewright guard` as a user has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.layers.validation.packs import tickets

if TYPE_CHECKING:
    from tests.cli.conftest import Run

CASES = [
    {"text": "Your password is: hunter22", "expect": ["no-passwords"], "valid": False},
    {"name": "a host", "text": "Log in to db01.corp.", "expect": ["security.no-internal-hosts"], "valid": True},
    {"text": "Reset it at https://example.com/reset.", "expect": [], "valid": True},
]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return _written(tmp_path, CASES)


def _written(tmp_path: Path, cases: list[dict[str, object]]) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return path


def test_the_packs_are_listed(run: Run) -> None:
    done = run("guard", "list")
    assert done.returncode == 0
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        *("pack", "change", "incident", "knowledge", "problem", "request", "security"),
    ]
    assert len(json.loads(run("guard", "list", "--json").stdout)) == 6


def test_a_pack_is_shown_changed_and_checked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(run("guard", "show", "incident").stdout)
    done = run("guard", "check", path)
    assert done.returncode == 0
    assert "incident.priority-matrix\thigh\tby level\tThe priority of an incident is" in done.stdout
    path.write_text(path.read_text().replace("severity: high", "sevrity: high"))
    wrong = run("guard", "check", path)
    assert wrong.returncode == 3
    assert "mine.yaml:86: rules[0].sevrity: there is no such key; did you mean severity?" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_confusion_table(run: Run, cases: Path) -> None:
    done = run("guard", "test", "security", cases, "--strict", "--threshold", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "rule\ttp\tfp\tfn\ttn\tprecision\trecall\tF1"
    assert lines[1] == "no-passwords\t1\t0\t0\t2\t1.000\t1.000\t1.000"
    assert "No case for no-credentials, no-private-addresses, no-classified" in lines
    assert lines[-1].startswith("security 1.0+")
    assert lines[-1].endswith(": 3 cases, all as expected")


def test_what_is_not_as_expected_is_told(run: Run, tmp_path: Path) -> None:
    wrong = [
        {"name": "missed", "text": "All is well.", "expect": ["no-passwords"]},
        {"name": "too much", "text": "See nas.corp.", "expect": [], "valid": False},
    ]
    cases = _written(tmp_path, wrong)
    done = run("guard", "test", "security", cases)
    assert done.returncode == 0
    assert "• missed: missed security.no-passwords" in done.stdout
    assert "• too much: unexpected security.no-internal-hosts; valid, and should be the other" in done.stdout
    assert run("guard", "test", "security", cases, "--strict").returncode == 1
    low = run("guard", "test", "security", cases, "--threshold", "0.5")
    assert low.returncode == 1
    assert "F1 below 0.5 no-passwords, no-internal-hosts" in low.stdout


def test_the_level_counts_for_the_verdict(run: Run, cases: Path) -> None:
    done = run("guard", "test", "security", cases, "--level", "strict", "--json")
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["mismatches"] == [
        {"case": "a host", "missed": [], "unexpected": [], "verdict": "not valid, and should be the other"}
    ]
    assert run("guard", "test", "security", cases, "--level", "strict", "--strict").returncode == 1
    assert run("guard", "test", "security", cases, "--level", "strickt").returncode == 3


def test_json(run: Run, cases: Path) -> None:
    report = json.loads(run("guard", "test", "security", cases, "--json").stdout)
    assert report["cases"] == 3
    assert report["rules"]["security.no-passwords"] == {
        "tp": 1,
        "fp": 0,
        "fn": 0,
        "tn": 2,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }
    assert report["rules"]["security.no-classified"]["f1"] is None
    assert report["total"]["tp"] == 2


def test_cases_that_are_none(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('\n{"text": "x", "expect": ["no-pasword"]}')
    done = run("guard", "test", "security", path)
    assert done.returncode == 3
    assert "cases.jsonl:2: expect: the pack has no rule no-pasword; did you mean security.no-passwords?" in done.stderr
    assert "Traceback" not in done.stderr


def test_generated_tickets_come_out_as_they_should(run: Run, tmp_path: Path) -> None:
    made = [*tickets.right("change", 50, seed=7), *tickets.wrong("change", 5, seed=8)]
    cases = _written(tmp_path, [{"record": one.record, "context": one.context, "expect": one.expect} for one in made])
    done = run("guard", "test", "change", cases, "--strict", "--threshold", "1.0")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith("cases, all as expected")
