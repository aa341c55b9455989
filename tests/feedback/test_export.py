"""Feedback as data to evaluate and to train with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback.export import evaluation_cases, fine_tuning_examples, write_lines
from gatewright.feedback.types import Feedback, FeedbackStatus, FeedbackType


def said(content: str = "", query: str = "How?", kind: str = "correction", **fields: Any) -> Feedback:
    given: dict[str, Any] = {"response": "So.", "tenant_id": "acme", "created_at": datetime(2026, 11, 26, tzinfo=UTC)}
    return Feedback(id=f"fb_{content}", type=FeedbackType(kind), query=query, content=content, **{**given, **fields})


def answers(*corrections: Feedback, others: tuple[Feedback, ...] = (), system: str | None = None) -> list[Any]:
    return [one["messages"] for one in fine_tuning_examples(corrections, others, system)]


def test_the_newest_correction_of_a_question_is_its_answer() -> None:
    found = answers(said("newest"), said("older", query="how"), said("other", query="Why?"))
    assert found == [
        [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "newest"}],
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "other"}],
    ]


def test_good_answers_stand_where_nobody_corrected_them() -> None:
    others = (
        said(kind="useful", query="How?"),
        said(kind="useful", query="a"),
        said(kind="rating", query="b", rating=4.0),
        said(kind="rating", query="c", rating=3.0),
        said(kind="error", query="d", rating=5.0),
        said(kind="useful", query="e", response=" "),
        said(kind="useful", query="f", status=FeedbackStatus.IGNORED),
    )
    found = answers(said("x"), others=others)
    assert [messages[0]["content"] for messages in found] == ["How?", "a", "b"]
    assert [messages[-1]["content"] for messages in found] == ["x", "So.", "So."]


def test_what_is_ignored_or_asks_nothing_teaches_nothing() -> None:
    assert answers(said("x", status=FeedbackStatus.IGNORED), said("y", query=" ")) == []


def test_the_system_may_speak_first() -> None:
    (general, own) = answers(said("x"), said("y", query="q", metadata={"system": "Be kind."}), system="Be brief.")
    assert general[0] == {"role": "system", "content": "Be brief."}
    assert own[0] == {"role": "system", "content": "Be kind."}


def test_a_case_has_what_was_expected_where_that_is_known() -> None:
    found = list(evaluation_cases([said("x"), said("y", kind="error"), said("z", status=FeedbackStatus.IGNORED)]))
    assert [(one["input"], one["answer"], one["expected"], one["comment"]) for one in found] == [
        ("How?", "So.", "x", None),
        ("How?", "So.", None, "y"),
    ]


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert write_lines(path, [{"a": "ż\n"}, {"a": 2}]) == 2
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [{"a": "ż\n"}, {"a": 2}]

    def broken() -> Iterator[dict[str, Any]]:
        yield {"a": 3}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_lines(path, broken())
    assert len(path.read_text("utf-8").splitlines()) == 2
    assert [one.name for one in tmp_path.iterdir()] == ["lines.jsonl"]


def test_a_path_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"path: .* cannot be written: No such file") as caught:
        write_lines(tmp_path / "nowhere" / "x", [])
    assert caught.value.param == "path"
