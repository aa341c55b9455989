"""What is taken, and what is refused with the name of the field that is wrong."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.intake import new_feedback
from gatewright.feedback.types import Feedback, FeedbackType

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CONFIG = FeedbackConfig(max_content_bytes=100, max_exchange_bytes=1000, max_metadata_bytes=200)
GIVEN: dict[str, Any] = {
    "query": "How?",
    "response": "So.",
    "feedback_type": FeedbackType.CORRECTION,
    "content": "Not so.",
    "rating": None,
    "tenant_id": "acme",
    "operation_id": None,
    "metadata": None,
}


def made(**changes: Any) -> Feedback:
    return new_feedback(CONFIG, NOW, **{**GIVEN, **changes})


def test_what_is_given_is_kept() -> None:
    told = {"prompt_version": "v7", "model": "m", "deep": [{"a": None}, 1.5, True]}
    one = made(metadata=told, rating=2, operation_id="req_1")
    assert (one.tenant_id, one.type, one.content, one.rating) == ("acme", FeedbackType.CORRECTION, "Not so.", 2.0)
    assert (one.prompt_version, one.model, one.operation_id, one.metadata) == ("v7", "m", "req_1", told)
    assert made().id != made().id


def test_a_type_may_be_its_name() -> None:
    assert made(feedback_type="error").type is FeedbackType.ERROR


@pytest.mark.parametrize(("kind", "rating", "content", "kept"), [("rating", None, "4", 4), ("rating", "up", "", 5)])
def test_a_rating_may_be_the_content(kind: str, rating: Any, content: str, kept: float) -> None:
    assert made(feedback_type=kind, rating=rating, content=content).rating == kept


def test_useful_needs_no_words() -> None:
    assert made(feedback_type="useful", content="").content == ""
    assert made(feedback_type="useful", content=None).rating is None


def test_a_version_may_be_a_number() -> None:
    assert made(metadata={"prompt_version": 3}).prompt_version == "3"
    assert made(metadata={"prompt_version": {"a": 1}}).prompt_version is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"feedback_type": "corection"}, "feedback_type"),
        ({"feedback_type": None}, "feedback_type"),
        ({"feedback_type": 3}, "feedback_type"),
        ({"content": ""}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": b"bytes"}, "content"),
        ({"content": "x" * 101}, "content"),
        ({"content": "ż" * 51}, "content"),
        ({"content": "a\0b"}, "content"),
        ({"content": "\ud800"}, "content"),
        ({"query": None}, "query"),
        ({"query": "x" * 1001}, "query"),
        ({"response": ["So."]}, "response"),
        ({"response": "\0"}, "response"),
        ({"rating": 6}, "rating"),
        ({"feedback_type": "rating", "content": ""}, "rating"),
        ({"feedback_type": "rating", "content": "good"}, "rating"),
        ({"feedback_type": "rating", "content": "5", "rating": True}, "rating"),
        ({"tenant_id": ""}, "tenant_id"),
        ({"tenant_id": 7}, "tenant_id"),
        ({"tenant_id": "a\0"}, "tenant_id"),
        ({"tenant_id": "t" * 600}, "tenant_id"),
        ({"operation_id": ""}, "operation_id"),
        ({"operation_id": 1}, "operation_id"),
        ({"metadata": "v7"}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": "x" * 300}}, "metadata"),
        ({"metadata": {"a": {"b": [0, object()]}}}, "metadata.a.b[1]"),
        ({"metadata": {"a": math.nan}}, "metadata.a"),
        ({"metadata": {"a": b"x"}}, "metadata.a"),
        ({"metadata": {"a": 2**70}}, "metadata.a"),
        ({"metadata": {"a": "\ud800"}}, "metadata.a"),
        ({"metadata": {1: "x"}}, "metadata"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        made(**changes)
    assert caught.value.param == field
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 200


def test_a_slip_of_the_pen_is_guessed() -> None:
    with pytest.raises(BadRequest, match="did you mean correction"):
        made(feedback_type="Corection")


def test_a_mapping_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(BadRequest, match="expected what JSON can hold"):
        made(metadata=endless)
