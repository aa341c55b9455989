"""Callbacks: each feedback at least once, one that fails harms nobody, and no crash loses any."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback import CallbackConfig, Feedback, FeedbackLoop, FeedbackStatus, FeedbackType
from gatewright.storage.errors import StoreUnavailable

Made = Callable[..., FeedbackLoop]
Correct = Callable[..., str]
Until = Callable[..., None]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "gatewright.feedback")


def test_a_callback_has_every_feedback_of_its_type(loop: FeedbackLoop, correct: Correct, until: Until) -> None:
    got: list[Feedback] = []
    loop.register_callback(FeedbackType.CORRECTION, got.append)
    ids = [correct(loop, str(number), tenant) for number, tenant in enumerate(["acme", "globex", None])]
    loop.record_feedback("q", "r", "rating", rating=5)
    until(lambda: len(got) == 3)
    assert {one.id: (one.content, one.tenant_id) for one in got} == dict(
        zip(ids, [("0", "acme"), ("1", "globex"), ("2", None)], strict=True)
    )
    until(lambda: {loop.get_feedback(id_).status for id_ in ids} == {FeedbackStatus.PROCESSED})


def test_what_was_said_before_is_told_too(loop: FeedbackLoop, correct: Correct, until: Until) -> None:
    before = [correct(loop, str(number)) for number in range(30)]
    got: list[Feedback] = []
    loop.register_callback("correction", got.append)
    until(lambda: len(got) == 30)
    assert sorted(one.id for one in got) == sorted(before)
    assert [one.created_at for one in got] == sorted(one.created_at for one in got)


def test_asynchronous_callbacks_are_awaited_and_ended_in_time(loop_of: Made, correct: Correct, until: Until) -> None:
    loop = loop_of(CallbackConfig(first_wait=0.01, max_attempts=2, timeout=0.05, poll_interval=0.1))
    got: list[str] = []

    async def told(feedback: Feedback) -> None:
        await asyncio.sleep(0)
        got.append(feedback.id)

    async def endless(_: Feedback) -> None:
        await asyncio.sleep(60)

    loop.register_callback("correction", told)
    loop.register_callback("correction", endless)
    id_ = correct(loop)
    until(lambda: [one.state for one in loop.get_deliveries(id_)] == ["dead", "delivered"])
    assert got == [id_]
    assert [one.last_error for one in loop.get_deliveries(id_)] == ["TimeoutError", None]


def test_one_that_fails_is_tried_again_and_harms_no_other(loop: FeedbackLoop, correct: Correct, until: Until) -> None:
    attempts: list[str] = []
    got: list[str] = []

    def flaky(feedback: Feedback) -> None:
        attempts.append(feedback.id)
        if len(attempts) < 3:
            raise KeyError("a secret: sk-0123456789abcdef")

    def broken(_: Feedback) -> None:
        raise SystemExit(3)

    for callback in (flaky, broken, lambda feedback: got.append(feedback.id)):
        loop.register_callback("correction", callback)
    id_ = correct(loop)
    until(lambda: loop.get_feedback(id_).status is FeedbackStatus.PROCESSED)
    assert (attempts, got) == ([id_] * 3, [id_])
    found = {one.callback.rpartition(".")[2]: one for one in loop.get_deliveries(id_)}
    assert [(one.state, one.attempts, one.last_error) for one in found.values()] == [
        ("delivered", 1, None),
        ("dead", 4, "SystemExit"),
        ("delivered", 3, "KeyError"),
    ]
    counts = loop.get_feedback_stats("acme")["callbacks"]
    assert [(one["dead"], one["errors"]) for name, one in counts.items() if name.endswith("broken")] == [
        (1, {"SystemExit": 1})
    ]


def test_one_that_hangs_holds_up_neither_recording_nor_another(
    loop: FeedbackLoop, correct: Correct, until: Until
) -> None:
    goes_on = threading.Event()
    hanging: list[str] = []
    got: list[Feedback] = []

    def hang(feedback: Feedback) -> None:
        hanging.append(feedback.id)
        goes_on.wait(30)

    loop.register_callback("correction", hang)
    loop.register_callback("correction", got.append)
    ids = [correct(loop, str(number)) for number in range(20)]
    until(lambda: len(got) == 20)
    # Its lease is renewed while it runs, so nobody else is given what it has.
    threading.Event().wait(1.2)
    assert len(hanging) == 1
    goes_on.set()
    until(lambda: loop.get_feedback_stats("acme")["by_status"] == {"processed": 20})
    assert sorted(hanging) == sorted(ids)


def test_a_dead_one_is_revived_by_processing(loop: FeedbackLoop, correct: Correct, until: Until) -> None:
    well = threading.Event()
    got: list[str] = []

    def sick(feedback: Feedback) -> None:
        if not well.is_set():
            raise OSError
        got.append(feedback.id)

    loop.register_callback("correction", sick)
    id_ = correct(loop)
    until(lambda: [one.state for one in loop.get_deliveries(id_)] == ["dead"])
    assert loop.get_feedback(id_).status is FeedbackStatus.PROCESSED
    well.set()
    assert loop.process_feedback(id_).status is FeedbackStatus.PROCESSED
    assert got == [id_]
    assert [one.state for one in loop.get_deliveries(id_)] == ["delivered"]
    loop.process_feedback(id_)
    assert got == [id_]


def test_without_callbacks_processing_is_by_hand(loop: FeedbackLoop, correct: Correct) -> None:
    id_ = correct(loop)
    assert loop.get_feedback(id_).status is FeedbackStatus.PENDING
    assert loop.process_feedback(id_).status is FeedbackStatus.PROCESSED
    assert loop.get_deliveries(id_) == []


def test_what_was_under_way_is_told_again_by_the_next_process(loop_of: Made, correct: Correct, until: Until) -> None:
    """As after a crash: the first loop is left as it stands, its callback in the midst of one."""
    first = loop_of()
    began, goes_on = threading.Event(), threading.Event()

    def slow(_: Feedback) -> None:
        began.set()
        goes_on.wait(30)

    first.register_callback("correction", slow, name="indexer")
    ids = [correct(first, str(number)) for number in range(5)]
    assert began.wait(10)
    first._dispatcher._ended.set()  # nothing renews its leases any more
    later = loop_of()
    threading.Event().wait(0.6)
    assert {later.get_feedback(id_).status for id_ in ids} == {FeedbackStatus.PENDING}
    got: list[str] = []
    later.register_callback("correction", lambda feedback: got.append(feedback.id), name="indexer")
    until(lambda: {later.get_feedback(id_).status for id_ in ids} == {FeedbackStatus.PROCESSED})
    assert sorted(got) == sorted(ids)
    goes_on.set()


def test_of_two_callbacks_the_one_that_registers_later_after_a_restart_loses_nothing(
    loop_of: Made, correct: Correct, until: Until
) -> None:
    first = loop_of()
    goes_on = threading.Event()
    for name in ("a", "b"):
        first.register_callback("correction", lambda _: goes_on.wait(30), name=name)
    id_ = correct(first)
    until(lambda: [one.attempts for one in first.get_deliveries(id_)] == [1, 1])
    first._dispatcher._ended.set()
    later = loop_of()
    got: list[str] = []
    later.register_callback("correction", lambda _: got.append("a"), name="a")
    until(lambda: got == ["a"])
    assert later.get_feedback(id_).status is FeedbackStatus.PENDING
    later.register_callback("correction", lambda _: got.append("b"), name="b")
    until(lambda: later.get_feedback(id_).status is FeedbackStatus.PROCESSED)
    assert got == ["a", "b"]
    goes_on.set()


def test_two_loops_share_the_work(loop_of: Made, correct: Correct, until: Until) -> None:
    one, other = loop_of(), loop_of()
    got: list[str] = []
    for loop in (one, other):
        loop.register_callback("correction", lambda feedback: got.append(feedback.id), name="shared")
    ids = [correct(one, str(number)) for number in range(30)] + [correct(other, str(number)) for number in range(30)]
    until(lambda: one.get_feedback_stats("acme")["by_status"] == {"processed": 60})
    assert sorted(got) == sorted(ids)


def test_one_whose_registration_ended_is_told_no_more(loop: FeedbackLoop, correct: Correct, until: Until) -> None:
    got: list[Feedback] = []
    end = loop.register_callback("correction", got.append, name="x")
    correct(loop)
    until(lambda: len(got) == 1)
    end()
    correct(loop)
    threading.Event().wait(0.3)
    assert len(got) == 1
    loop.register_callback("correction", got.append, name="x")
    until(lambda: len(got) == 2)


def test_names_tell_callbacks_apart(loop: FeedbackLoop) -> None:
    def function(_: Feedback) -> None: ...

    loop.register_callback("correction", function)
    loop.register_callback("correction", function)
    loop.register_callback("correction", functools.partial(function))
    loop.register_callback("rating", function, name="x")
    loop.register_callback("error", function, name="x")
    names = [one.name for one in loop._callbacks]
    assert len(names) == len(set(names)) == 4
    with pytest.raises(BadRequest, match="name: there is another callback 'x' for error"):
        loop.register_callback("error", print, name="x")


@pytest.mark.parametrize(
    ("kind", "callback", "name", "field"),
    [("corection", print, None, "feedback_type"), ("error", "print", None, "callback"), ("error", print, " ", "name")],
)
def test_what_is_wrong_is_named(loop: FeedbackLoop, kind: str, callback: Any, name: Any, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        loop.register_callback(kind, callback, name)
    assert caught.value.param == field


def test_what_is_ignored_is_told_to_nobody(loop: FeedbackLoop, correct: Correct) -> None:
    id_ = correct(loop)
    loop.ignore_feedback(id_)
    got: list[Feedback] = []
    loop.register_callback("correction", got.append)
    threading.Event().wait(0.3)
    assert got == []
    assert loop.process_feedback(id_).status is FeedbackStatus.IGNORED


def test_what_was_in_hand_when_the_database_died_is_told_when_it_is_back(
    loop_of: Made, correct: Correct, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = loop_of(CallbackConfig(lease=0.5, poll_interval=0.05))
    ids = [correct(loop, str(number)) for number in range(5)]
    dispatcher = loop._dispatcher  # type: ignore[attr-defined]
    read, fails = dispatcher._read, iter([False, True])

    def dies(feedback_id: str) -> Feedback | None:
        if next(fails, False):
            raise StoreUnavailable("the records' database: it died")
        return read(feedback_id)

    monkeypatch.setattr(dispatcher, "_read", dies)
    got: set[str] = set()
    loop.register_callback("correction", lambda feedback: got.add(feedback.id))
    until(lambda: got == set(ids))
    until(lambda: not dispatcher._held)
