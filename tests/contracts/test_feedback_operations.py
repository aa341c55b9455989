"""Feedback and the operation that it is about, on each database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback import Feedback, FeedbackConfig, FeedbackLoop, FeedbackType
from gatewright.feedback.operations import Operations
from gatewright.feedback.store import FeedbackStore
from gatewright.feedback.types import new_feedback_id
from gatewright.pipeline.call import new_id
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.store import RecordStore
from gatewright.types.records import OperationRecord


@pytest.fixture
def records(database_address: str | Path) -> Iterator[RecordStore]:
    store = RecordStore(database_address)
    yield store
    store.close()


@pytest.fixture
def loop(database_address: str | Path, tmp_path: Path) -> Iterator[FeedbackLoop]:
    url = database_address if isinstance(database_address, str) else f"sqlite:///{database_address}"
    with FeedbackLoop(FeedbackConfig(), data_dir=tmp_path, database_url=url) as loop:
        yield loop


@pytest.fixture
def answered(records: RecordStore) -> Callable[..., str]:
    """Have an operation in the records, and give its id as its caller knows it."""

    def make(tenant: str | None = "acme", **more: Any) -> str:
        id_ = new_id()
        key = bytes.fromhex(id_.removeprefix("req_"))
        fields: dict[str, Any] = {"model": "gpt-4o", "answered_model": "gpt-4o-2026", "tags": ("prompt_version:v7",)}
        started_at = int(time.time() * 1000)
        records.write(
            [OperationRecord(id=key, started_at=started_at, type=0, status=0, tenant=tenant, **{**fields, **more})]
        )
        return id_

    return make


def test_it_tells_the_model_and_the_version_of_the_prompt(loop: FeedbackLoop, answered: Callable[..., str]) -> None:
    for tenant in ("acme", None):
        id_ = loop.record_feedback("q", "r", "rating", "up", tenant, operation_id=answered(tenant))
        found = loop.get_feedback(id_)
        assert (found.operation, found.model, found.prompt_version) == ("linked", "gpt-4o-2026", "v7")
        assert loop.get_learning_insights(tenant)["by_model"]["gpt-4o-2026"]["average_rating"] == 5.0
        assert loop.get_learning_insights(tenant)["by_prompt_version"]["v7"]["count"] == 1


def test_what_the_feedback_says_itself_stands(loop: FeedbackLoop, answered: Callable[..., str]) -> None:
    told = {"model": "mine", "prompt_version": "v8"}
    operation = answered(answered_model=None, tags=("x", "prompt_version=v9"))
    found = loop.get_feedback(loop.record_feedback("q", "r", "useful", "", "acme", operation, told))
    assert (found.operation, found.model, found.prompt_version) == ("linked", "mine", "v8")
    found = loop.get_feedback(loop.record_feedback("q", "r", "useful", "", "acme", operation))
    assert (found.model, found.prompt_version) == ("gpt-4o", "v9")


@pytest.mark.parametrize("tenant", ["globex", None, "ACME"])
def test_another_tenants_operation_is_as_unknown_as_none(
    loop: FeedbackLoop, answered: Callable[..., str], tenant: str | None
) -> None:
    operation = answered("acme")
    with pytest.raises(BadRequest) as refused:
        loop.record_feedback("q", "r", "useful", "", tenant, operation)
    with pytest.raises(BadRequest) as unknown:
        loop.record_feedback("q", "r", "useful", "", tenant, new_id())
    assert refused.value.param == unknown.value.param == "operation_id"
    assert refused.value.message.partition("req_")[0] == unknown.value.message.partition("req_")[0]
    assert loop.list_feedback(tenant) == []


def test_an_operation_that_is_recorded_a_moment_later_is_waited_for(loop: FeedbackLoop, records: RecordStore) -> None:
    import threading

    id_ = new_id()
    record = OperationRecord(
        id=bytes.fromhex(id_.removeprefix("req_")), started_at=int(time.time() * 1000), type=0, status=0, tenant="acme"
    )
    later = threading.Timer(0.2, records.write, [[record]])
    later.start()
    assert loop.get_feedback(loop.record_feedback("q", "r", "useful", "", "acme", id_)).operation == "linked"
    later.join()


def test_what_could_not_be_looked_up_is_linked_when_it_can(
    database: Database, records: RecordStore, answered: Callable[..., str]
) -> None:
    now = datetime.now(UTC)
    given = {
        "mine": ("acme", answered("acme"), now),
        "theirs": ("acme", answered("globex"), now),
        "not yet": ("acme", new_id(), now),
        "never": ("acme", new_id(), now - timedelta(hours=2)),
        "no id": ("acme", "something", now),
    }
    store = FeedbackStore(database)
    made = {
        name: Feedback(
            id=new_feedback_id(),
            tenant_id=tenant,
            type=FeedbackType.USEFUL,
            query="q",
            response="r",
            content="",
            operation_id=operation,
            operation="unverified",
            created_at=at,
        )
        for name, (tenant, operation, at) in given.items()
    }
    store.add([(one, []) for one in made.values()])
    Operations(database).verify(now)
    found = {name: store.get(one.id, "acme") for name, one in made.items()}
    assert {name: one and (one.operation, one.model) for name, one in found.items()} == {
        "mine": ("linked", "gpt-4o-2026"),
        "theirs": ("unknown", None),
        "not yet": ("unverified", None),
        "never": ("unknown", None),
        "no id": ("unknown", None),
    }
