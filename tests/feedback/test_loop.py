"""The feedback loop as its user has it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest, GatewayClosed, NotFound
from gatewright.feedback import ALL_TENANTS, FeedbackConflict, FeedbackLoop, FeedbackStatus, FeedbackType

Made = Callable[..., FeedbackLoop]
Correct = Callable[..., str]


def test_the_documented_path_has_everything() -> None:
    from src.core import feedback_loop

    assert feedback_loop.FeedbackType is FeedbackType
    assert feedback_loop.FeedbackLoop is FeedbackLoop
    assert feedback_loop.FeedbackStatus is FeedbackStatus


def test_what_was_recorded_is_read_back(loop: FeedbackLoop, loop_of: Made) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    id_ = loop.record_feedback(
        query="How do I reset my password?",
        response="You can reset your password...",
        feedback_type=FeedbackType.CORRECTION,
        content="Actually, the process is different...",
        tenant_id="tenant1",
        metadata={"prompt_version": "v7"},
        rating=2,
    )
    for reader in (loop, loop_of()):
        found = reader.get_feedback(id_)
        assert (found.type, found.status, found.tenant_id) == ("correction", "pending", "tenant1")
        assert (found.query, found.content) == ("How do I reset my password?", "Actually, the process is different...")
        assert (found.prompt_version, found.rating, found.operation_id) == ("v7", 2.0, None)
        assert before < found.created_at < datetime.now(UTC)


def test_bad_input_leaves_nothing(loop: FeedbackLoop) -> None:
    with pytest.raises(BadRequest, match="rating: "):
        loop.record_feedback("q", "r", "rating", rating=6)
    assert loop.list_feedback(ALL_TENANTS) == []


def test_statuses_follow_each_other(loop: FeedbackLoop, correct: Correct) -> None:
    applied, ignored = correct(loop), correct(loop)
    assert loop.mark_applied(applied).status is FeedbackStatus.APPLIED
    assert loop.mark_applied(applied).status is FeedbackStatus.APPLIED
    assert loop.process_feedback(applied).status is FeedbackStatus.APPLIED
    assert loop.ignore_feedback(ignored).status is FeedbackStatus.IGNORED
    with pytest.raises(FeedbackConflict, match=rf"status: {applied} is applied and stays so"):
        loop.ignore_feedback(applied)
    with pytest.raises(FeedbackConflict):
        loop.mark_applied(ignored)
    assert [loop.get_feedback(id_).status for id_ in (applied, ignored)] == ["applied", "ignored"]


def test_it_is_listed_by_its_conditions(loop: FeedbackLoop, correct: Correct) -> None:
    ids = [correct(loop, str(number), metadata={"model": "m" if number % 2 else "n"}) for number in range(6)]
    loop.mark_applied(ids[0])
    assert [one.id for one in loop.list_feedback("acme")] == sorted(
        ids, key=lambda id_: (loop.get_feedback(id_).created_at, id_), reverse=True
    )
    assert {one.id for one in loop.list_feedback("acme", model="m")} == set(ids[1::2])
    assert [one.id for one in loop.list_feedback("acme", status="applied")] == ids[:1]
    assert len(loop.list_feedback("acme", limit=2)) == 2
    assert loop.list_feedback("acme", feedback_type="error") == []
    assert loop.list_feedback("acme", since=datetime.now(UTC)) == []
    assert len(loop.list_feedback("acme", before=datetime.now(UTC) + timedelta(1))) == 6


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_000}, "limit"),
        ({"limit": True}, "limit"),
        ({"status": "open"}, "status"),
        ({"feedback_type": "praise"}, "feedback_type"),
        ({"model": 3}, "model"),
        ({"model": "a\0"}, "model"),
        ({"since": datetime(2026, 1, 1)}, "since"),
        ({"after": "fb_nothere"}, "after"),
        ({"tenant_id": ""}, "tenant_id"),
    ],
)
def test_a_wrong_condition_is_named(loop: FeedbackLoop, options: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        loop.list_feedback(**options)
    assert caught.value.param == field


@pytest.mark.parametrize("field", ["time_range_hours", "period_hours"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "24", True, 1e-9, 10**12])
def test_a_wrong_time_range_is_named(loop: FeedbackLoop, field: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=f"{field}: expected a number of hours above zero") as caught:
        loop.get_learning_insights("acme", **{field: value})
    assert caught.value.param == field


def test_an_id_that_is_not_there(loop: FeedbackLoop, correct: Correct) -> None:
    id_ = correct(loop)
    for asked in (
        lambda: loop.get_feedback("fb_1"),
        lambda: loop.get_feedback(id_, "globex"),
        lambda: loop.get_feedback(id_, None),
        lambda: loop.process_feedback(id_, "globex"),
        lambda: loop.mark_applied(id_, "globex"),
        lambda: loop.delete_feedback(id_, "globex"),
        lambda: loop.get_deliveries(id_, "globex"),
    ):
        with pytest.raises(NotFound, match="feedback_id: there is no feedback"):
            asked()
    assert loop.get_feedback(id_, "acme").status is FeedbackStatus.PENDING


def test_what_is_deleted_is_gone(loop: FeedbackLoop, correct: Correct) -> None:
    id_, kept = correct(loop), correct(loop)
    loop.delete_feedback(id_)
    assert [one.id for one in loop.list_feedback("acme")] == [kept]
    with pytest.raises(NotFound):
        loop.delete_feedback(id_)


def test_an_operation_that_never_was_is_refused(loop: FeedbackLoop, loop_of: Made) -> None:
    for unknown in ("req_0123456789abcdef01234567", "no such thing", "req_xyz"):
        with pytest.raises(BadRequest, match="operation_id: this tenant has no operation") as caught:
            loop.record_feedback("q", "r", "useful", tenant_id="acme", operation_id=unknown)
        assert caught.value.param == "operation_id"
    assert loop.list_feedback("acme") == []
    lenient = loop_of(require_known_operation=False)
    id_ = lenient.record_feedback("q", "r", "useful", tenant_id="acme", operation_id="mine-1")
    found = lenient.get_feedback(id_)
    assert (found.operation_id, found.operation) == ("mine-1", "unknown")


async def test_the_awaited_forms_do_the_same(loop: FeedbackLoop, tmp_path: Path) -> None:
    ids = await asyncio.gather(
        *(loop.record_feedback_async("q", "r", "correction", str(number), "acme") for number in range(50))
    )
    assert len(set(ids)) == 50
    assert {one.id for one in await loop.list_feedback_async("acme")} == set(ids)
    assert (await loop.get_feedback_async(ids[0])).content == "0"
    assert (await loop.process_feedback_async(ids[0])).status is FeedbackStatus.PROCESSED
    assert (await loop.mark_applied_async(ids[0])).status is FeedbackStatus.APPLIED
    assert (await loop.ignore_feedback_async(ids[1])).status is FeedbackStatus.IGNORED
    await loop.delete_feedback_async(ids[2])
    assert await loop.get_deliveries_async(ids[0]) == []
    assert (await loop.get_feedback_stats_async("acme"))["total_feedback"] == 49
    assert (await loop.get_learning_insights_async("acme"))["total_feedback"] == 48
    assert await loop.export_evaluation_set_async(tmp_path / "e.jsonl", "acme") == 48
    assert await loop.export_fine_tuning_async(tmp_path / "f.jsonl", "acme") == 1
    with pytest.raises(BadRequest, match="content: "):
        await loop.record_feedback_async("q", "r", "correction")


def test_insights_are_a_tenants_own(loop: FeedbackLoop) -> None:
    for rating in (5, 4, "down"):
        loop.record_feedback("q", "r", "rating", tenant_id="acme", rating=rating, metadata={"model": "m"})
    for text in ("Call the desk", "call the desk!", "Wait"):
        loop.record_feedback("q", "r", "correction", text, "acme", metadata={"prompt_version": "v1"})
    loop.ignore_feedback(loop.record_feedback("q", "r", "rating", tenant_id="acme", rating=1))
    loop.record_feedback("q", "r", "rating", tenant_id="globex", rating=1)
    insights = loop.get_learning_insights("acme")
    assert insights["average_rating"] == 3.333
    assert (insights["total_feedback"], insights["rating_count"]) == (6, 3)
    assert [(one["count"], len(one["examples"])) for one in insights["common_corrections"]] == [(2, 1), (1, 1)]
    assert insights["by_model"]["m"]["average_rating"] == 3.333
    assert insights["by_prompt_version"]["v1"]["by_type"] == {"correction": 3}
    assert insights["by_status"] == {"ignored": 1, "pending": 6}
    assert loop.get_learning_insights("initech")["average_rating"] is None
    assert loop.get_learning_insights(None)["total_feedback"] == 0
    assert loop.get_learning_insights(ALL_TENANTS)["average_rating"] == 2.75
    assert loop.get_learning_insights("acme", model="m")["total_feedback"] == 3
    assert json.dumps(insights)


def test_corrections_are_grouped_by_meaning_where_a_model_can_be_asked(loop_of: Made) -> None:
    asked: list[tuple[list[str], str | None]] = []

    def embed(texts: list[str], tenant_id: str | None) -> list[list[float]]:
        asked.append((list(texts), tenant_id))
        return [[1.0, 0.0] if "car" in text.lower() else [0.0, 1.0] for text in texts]

    loop = loop_of(embed=embed)
    for text in ("Take the car", "Drive a car there", "A CAR is best", "Walk"):
        loop.record_feedback("q", "r", "correction", text, "acme")
    insights = loop.get_learning_insights("acme")
    assert [one["count"] for one in insights["common_corrections"]] == [3, 1]
    assert insights["grouping"] == {"by": "meaning", "model": "e", "reason": None, "texts": 4, "of": 4}
    assert [(len(texts), tenant) for texts, tenant in asked] == [(4, "acme")]
    loop.record_feedback("q", "r", "error", "The car broke", "acme")
    loop.get_learning_insights("acme")
    assert [texts for texts, _ in asked[1:]] == [["The car broke"]]


def test_where_the_model_fails_they_are_grouped_by_words(loop_of: Made, correct: Correct) -> None:
    def embed(_: Any, __: Any) -> Any:
        raise GatewayClosed("it is closed")

    loop = loop_of(embed=embed)
    correct(loop)
    insights = loop.get_learning_insights("acme")
    assert [one["text"] for one in insights["common_corrections"]] == ["not so"]
    assert insights["grouping"]["by"] == "words"
    assert insights["grouping"]["reason"] == "GatewayClosed: it is closed"


def test_after_closing_nothing_is_taken(loop: FeedbackLoop, correct: Correct) -> None:
    correct(loop)
    loop.close()
    loop.close()
    for asked in (lambda: correct(loop), lambda: loop.list_feedback(), lambda: loop.register_callback("error", print)):
        with pytest.raises(GatewayClosed):
            asked()


def test_at_rest_it_begins_again_when_it_is_asked(loop: FeedbackLoop, correct: Correct) -> None:
    id_ = correct(loop)
    loop.rest()
    assert loop.get_feedback(id_).id == id_
    assert correct(loop) != id_


def test_a_forked_child_goes_on(loop: FeedbackLoop, correct: Correct) -> None:
    correct(loop, "before")
    child = os.fork()
    if child == 0:
        try:
            correct(loop, "in the child")
            os._exit(0 if len(loop.list_feedback("acme")) == 2 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [one.content for one in loop.list_feedback("acme")] == ["in the child", "before"]


def test_importing_it_imports_no_database() -> None:
    code = "import gatewright.feedback, sys; print({'sqlalchemy', 'numpy', 'alembic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
