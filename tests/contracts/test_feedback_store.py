"""Feedback in SQLite and in PostgreSQL: what is kept, for whom, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback.config import CallbackConfig
from gatewright.feedback.deliveries import LOST, delivered, failed
from gatewright.feedback.outbox import Outbox
from gatewright.feedback.store import FeedbackStore, Filter
from gatewright.feedback.tallies import distinct_texts, tallies_by_name, tallies_by_period, texts_said
from gatewright.feedback.types import ALL_TENANTS, Delivery, Feedback, FeedbackStatus, FeedbackType, new_feedback_id
from gatewright.storage.sql.database import Database

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
CONFIG = CallbackConfig(max_attempts=3, lease=30)


def said(content: str = "no", tenant_id: str | None = "acme", days_ago: float = 0, **fields: Any) -> Feedback:
    made: dict[str, Any] = {"type": FeedbackType.CORRECTION, "query": "q", "response": "r", **fields}
    created_at = NOW - timedelta(days=days_ago)
    return Feedback(id=new_feedback_id(), tenant_id=tenant_id, content=content, created_at=created_at, **made)


def due(feedback: Feedback, *callbacks: str) -> list[Delivery]:
    return [Delivery(feedback_id=feedback.id, callback=name, due_at=feedback.created_at) for name in callbacks]


@pytest.fixture
def store(database: Database) -> FeedbackStore:
    return FeedbackStore(database)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, CONFIG)


def test_what_was_added_is_read_back_as_it_was(store: FeedbackStore) -> None:
    whole = said(
        "żółć 👍 \U0001d54f",
        type=FeedbackType.RATING,
        rating=4.5,
        operation_id="req_1",
        operation="linked",
        model="m",
        prompt_version="v2",
        metadata={"a": [1, None, {"b": "\n"}], "c": 0.1},
    )
    store.add([(whole, [])])
    assert store.get(whole.id, "acme") == whole
    assert store.get(whole.id, ALL_TENANTS) == whole


def test_adding_twice_changes_nothing(store: FeedbackStore, outbox: Outbox) -> None:
    one = said()
    store.add([(one, due(one, "a"))])
    store.set_status(one.id, FeedbackStatus.APPLIED, "acme")
    store.add([(one, due(one, "a")), (one, due(one, "b"))])
    assert [found.status for found in store.list(Filter(tenant_id="acme"), 10)] == [FeedbackStatus.APPLIED]
    assert outbox.of(one.id) == []


def test_all_or_none_are_added(store: FeedbackStore) -> None:
    def broken() -> Iterator[tuple[Feedback, list[Delivery]]]:
        yield said(), []
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.add(broken())
    assert store.list(Filter(tenant_id="acme"), 10) == []


@pytest.mark.parametrize("other", ["globex", None, "Acme", "acme ", ""])
def test_another_tenants_is_not_there(store: FeedbackStore, other: str | None) -> None:
    one = said()
    store.add([(one, [])])
    assert store.get(one.id, other) is None
    assert store.list(Filter(tenant_id=other), 10) == []
    assert store.set_status(one.id, FeedbackStatus.IGNORED, other) is None
    assert store.get(one.id, "acme") == one


def test_the_newest_come_first_page_by_page(store: FeedbackStore) -> None:
    many = [said(str(number), days_ago=number // 3) for number in range(20)]
    store.add([(one, []) for one in many])
    wanted = sorted(many, key=lambda one: (one.created_at, one.id), reverse=True)
    got: list[Feedback] = []
    while page := store.list(Filter(tenant_id="acme"), 7, got[-1].id if got else None):
        got += page
    assert got == wanted
    assert list(store.walk(Filter(tenant_id="acme"))) == wanted
    with pytest.raises(BadRequest, match="after: there is no feedback"):
        store.list(Filter(tenant_id="globex"), 7, got[0].id)


def test_a_filter_has_all_its_conditions(store: FeedbackStore) -> None:
    wanted = said(model="m", prompt_version="v1", operation_id="req_1", days_ago=2)
    others = [
        said(model="n", prompt_version="v1", operation_id="req_1", days_ago=2),
        said(model="m", prompt_version="v2", operation_id="req_1", days_ago=2),
        said(model="m", prompt_version="v1", operation_id="req_2", days_ago=2),
        said(model="m", prompt_version="v1", operation_id="req_1", days_ago=4),
        said(model="m", prompt_version="v1", operation_id="req_1", days_ago=1),
        said(model="m", prompt_version="v1", operation_id="req_1", days_ago=2, type=FeedbackType.ERROR),
        said(model="m", prompt_version="v1", operation_id="req_1", days_ago=2, status=FeedbackStatus.APPLIED),
        said(model="m", prompt_version="v1", operation_id="req_1", days_ago=2, tenant_id="globex"),
    ]
    store.add([(one, []) for one in [wanted, *others]])
    chosen = Filter(
        tenant_id="acme",
        type=FeedbackType.CORRECTION,
        status=FeedbackStatus.PENDING,
        model="m",
        prompt_version="v1",
        operation_id="req_1",
        since=NOW - timedelta(days=3),
        before=NOW - timedelta(days=1.5),
    )
    assert store.list(chosen, 10) == [wanted]


@pytest.mark.parametrize("before", FeedbackStatus)
@pytest.mark.parametrize("after", FeedbackStatus)
def test_a_status_changes_where_it_may(store: FeedbackStore, before: FeedbackStatus, after: FeedbackStatus) -> None:
    one = said(status=before)
    store.add([(one, [])])
    assert store.set_status(one.id, after, "acme") is before
    found = store.get(one.id, "acme")
    assert found is not None
    assert found.status is (after if before.may_become(after) else before)


def test_what_is_due_is_handed_out_once(store: FeedbackStore, outbox: Outbox) -> None:
    many = [said(str(number), days_ago=number) for number in range(40)]
    store.add([(one, due(one, "a", "b")) for one in many])
    taken: list[Delivery] = []

    def take() -> None:
        while got := outbox.claim("a", NOW, 3):
            taken.extend(got)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.feedback_id for one in taken) == sorted(one.id for one in many)
    assert {one.attempts for one in taken} == {1}
    assert len(outbox.claim("b", NOW, 100)) == 40


def test_what_a_process_did_not_end_is_due_again_after_its_lease(store: FeedbackStore, outbox: Outbox) -> None:
    one = said()
    store.add([(one, due(one, "a"))])
    assert outbox.claim("a", NOW, 10)
    assert outbox.claim("a", NOW + timedelta(seconds=29), 10) == []
    outbox.renew([(one.id, "a")], NOW + timedelta(seconds=20))
    assert outbox.claim("a", NOW + timedelta(seconds=49), 10) == []
    assert [again.attempts for again in outbox.claim("a", NOW + timedelta(seconds=51), 10)] == [2]
    assert outbox.claim("a", NOW + timedelta(seconds=90), 10)
    assert outbox.claim("a", NOW + timedelta(seconds=130), 10) == []
    dead = outbox.of(one.id)
    assert [(found.state, found.attempts, found.last_error) for found in dead] == [("dead", 3, LOST)]
    found = store.get(one.id, "acme")
    assert found is not None
    assert found.status is FeedbackStatus.PROCESSED


def test_with_its_last_delivery_a_feedback_is_processed(store: FeedbackStore, outbox: Outbox) -> None:
    one = said()
    store.add([(one, due(one, "a", "b"))])
    (first,), (second,) = outbox.claim("a", NOW, 10), outbox.claim("b", NOW, 10)
    outbox.settle(delivered(first))
    assert [found.status.value for found in store.list(Filter(tenant_id="acme"), 1)] == ["pending"]
    outbox.settle(failed(second, ValueError, CONFIG, NOW, lambda: 0.0))
    assert outbox.next_due("b") == NOW + timedelta(seconds=1)
    (again,) = outbox.claim("b", NOW + timedelta(seconds=1), 10)
    outbox.settle(delivered(again))
    assert [found.status.value for found in store.list(Filter(tenant_id="acme"), 1)] == ["processed"]
    assert outbox.counts("acme") == {
        "a": {"pending": 0, "delivered": 1, "dead": 0, "errors": {}},
        "b": {"pending": 0, "delivered": 1, "dead": 0, "errors": {"ValueError": 1}},
    }
    assert outbox.counts("globex") == {}


def test_deliveries_that_end_at_once_leave_it_processed(store: FeedbackStore, outbox: Outbox) -> None:
    many = [said(str(number)) for number in range(15)]
    names = ["a", "b", "c"]
    store.add([(one, due(one, *names)) for one in many])
    start = threading.Barrier(len(names))

    def end(name: str) -> None:
        for one in outbox.claim(name, NOW, 100):
            start.wait(20)
            outbox.settle(delivered(one))

    threads = [threading.Thread(target=end, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.status for one in store.list(Filter(tenant_id="acme"), 100)} == {FeedbackStatus.PROCESSED}


def test_pending_feedback_is_adopted_by_a_callback_that_comes_later(store: FeedbackStore, outbox: Outbox) -> None:
    mine, known, other, done = said(), said(), said(type=FeedbackType.ERROR), said(status=FeedbackStatus.PROCESSED)
    store.add([(mine, []), (known, due(known, "a")), (other, []), (done, [])])
    assert outbox.adopt("a", FeedbackType.CORRECTION) == 1
    assert outbox.adopt("a", FeedbackType.CORRECTION) == 0
    assert {one.feedback_id for one in outbox.claim("a", NOW, 10)} == {mine.id, known.id}


def test_a_dead_delivery_is_revived(store: FeedbackStore, outbox: Outbox) -> None:
    one = said()
    store.add([(one, due(one, "a"))])
    for seconds in (0, 31, 62, 93):
        outbox.claim("a", NOW + timedelta(seconds=seconds), 1)
    assert [found.state for found in outbox.of(one.id)] == ["dead"]
    outbox.revive(one.id, ["a", "b"], NOW)
    assert [(found.callback, found.state, found.attempts) for found in outbox.of(one.id)] == [
        ("a", "pending", 0),
        ("b", "pending", 0),
    ]


def test_what_is_ignored_is_told_to_nobody(store: FeedbackStore, outbox: Outbox) -> None:
    one = said()
    store.add([(one, due(one, "a"))])
    store.set_status(one.id, FeedbackStatus.IGNORED, "acme")
    assert outbox.claim("a", NOW, 10) == []


def test_counts_are_by_type_status_period_and_name(store: FeedbackStore, database: Database) -> None:
    rated: dict[str, Any] = {"type": FeedbackType.RATING, "model": "m"}
    store.add(
        [
            (said(rating=5, **rated), []),
            (said(rating=4, **rated), []),
            (said(rating=1, days_ago=8, prompt_version="v1", **rated), []),
            (said(rating=1, days_ago=1000, **rated), []),
            (said(rating=1, tenant_id="globex", **rated), []),
            (said("x", model="n"), []),
            (said("X!", model="n"), []),
            (said("y", days_ago=9), []),
            (said("z", status=FeedbackStatus.IGNORED), []),
            (said("x", tenant_id="globex"), []),
        ]
    )
    chosen = Filter(tenant_id="acme")
    with database.reading() as connection:
        periods = tallies_by_period(connection, chosen, NOW, WEEK)
        models = tallies_by_name(connection, chosen, "model")
        versions = tallies_by_name(connection, chosen, "prompt_version")
        texts = texts_said(connection, chosen, FeedbackType.CORRECTION, NOW, WEEK, 10)
        different = distinct_texts(connection, chosen, FeedbackType.CORRECTION)
    counted = {(one.type, one.status, one.period): (one.count, one.rating.average) for one in periods}
    assert counted == {
        ("rating", "pending", 0): (2, 4.5),
        ("rating", "pending", 1): (1, 1.0),
        ("rating", "pending", 8): (1, 1.0),
        ("correction", "pending", 0): (2, None),
        ("correction", "pending", 1): (1, None),
        ("correction", "ignored", 0): (1, None),
    }
    assert [(one.name, one.count, one.rating.average) for one in models] == [("m", 4, 2.75), ("n", 2, None)]
    assert [(one.name, one.count) for one in versions] == [("v1", 1)]
    assert [(one.count, one.recent, one.earlier) for one in texts] == [(2, 2, 0), (1, 0, 1)]
    assert texts[0].text in ("x", "X!")
    assert (texts[1].text, different) == ("y", 2)
