"""`gatewright feedback`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gatewright.feedback import FeedbackLoop

if TYPE_CHECKING:
    from tests.cli.conftest import Run


@pytest.fixture
def said(tmp_path: Path) -> dict[str, str]:
    """Some feedback, each of another millisecond, and the environment in which the command finds it."""
    with FeedbackLoop(data_dir=tmp_path / "data") as loop:
        loop.record_feedback("How?", "So.", "correction", "Not so.", "acme")
        time.sleep(0.002)
        loop.record_feedback("How?", "So.", "rating", tenant_id="acme", rating=4)
        time.sleep(0.002)
        loop.record_feedback("Why?", "Because.", "error", "Nothing\nworks", "globex")
    return {"GATEWRIGHT_DATA_DIR": str(tmp_path / "data")}


def test_it_is_listed_and_counted(run: Run, said: dict[str, str]) -> None:
    everyone = run("feedback", "list", **said)
    assert (everyone.returncode, everyone.stderr) == (0, "")
    assert [line.split("\t")[-1] for line in everyone.stdout.splitlines()] == [
        "content",
        "Nothing works",
        "",
        "Not so.",
    ]
    own = run("feedback", "list", "--tenant", "acme", "--type", "rating", "--json", **said)
    assert [json.loads(line)["rating"] for line in own.stdout.splitlines()] == [4.0]
    counts = run("feedback", "stats", "-t", "acme", **said).stdout.splitlines()
    assert {"feedback\t2", "average rating\t4 of 1", "correction\t1", "rating\t1", "pending\t2"} <= set(counts)


def test_what_it_teaches(run: Run, said: dict[str, str]) -> None:
    done = run("feedback", "insights", **said)
    assert "correction\t1\t1\t0\tNot so." in done.stdout.splitlines()
    assert "error\t1\t1\t0\tNothing works" in done.stdout.splitlines()
    assert json.loads(run("feedback", "insights", "-t", "acme", "--json", **said).stdout)["average_rating"] == 4.0


def test_it_is_exported(run: Run, said: dict[str, str], tmp_path: Path) -> None:
    done = run("feedback", "export", "-", "--as", "fine-tuning", "--system", "Be brief.", **said)
    assert json.loads(done.stdout)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "Not so."},
    ]
    done = run("feedback", "export", tmp_path / "cases.jsonl", "--type", "error", **said)
    assert done.stdout == "1\n"
    assert json.loads((tmp_path / "cases.jsonl").read_text())["comment"] == "Nothing\nworks"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("list", "--type", "praise"), "feedback_type"),
        (("list", "--status", "open"), "status"),
        (("stats", "--hours", "0"), "time_range_hours"),
        (("export", "-", "--as", "csv"), "as"),
        (("export", "nowhere/x.jsonl"), "path"),
    ],
)
def test_wrong_input_is_2(run: Run, said: dict[str, str], arguments: tuple[str, ...], field: str) -> None:
    done = run("feedback", *arguments, **said)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {field}: ")
