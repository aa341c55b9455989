"""From events to a record: where a call's time went, what guards found, what ended late."""

from __future__ import annotations

from typing import Any

import pytest

from gatewright.errors import ProviderUnavailable, RecordsUnavailable
from gatewright.llmops.recorder import Recorder
from gatewright.pipeline.call import Call, new_id
from gatewright.pipeline.events import (
    AttemptEnded,
    CacheHit,
    CallAdmitted,
    CallBatched,
    CallSettled,
    CallShared,
    Events,
    GuardTripped,
    RetryScheduled,
    StreamEnded,
)
from gatewright.pipeline.settling import Outcome
from gatewright.types.records import GuardVerdict, LateAttempt, OperationRecord, decode_record
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Choice


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a recorder never waits")


class Told:
    """Tells a recorder of one call, second by second."""

    def __init__(self, *, stream: bool = False) -> None:
        self.clock = Clock()
        self.entries: list[bytes] = []
        self.recorder = Recorder(self.entries.append, clock=self.clock, wall=lambda: 1_790_000_000 + self.clock.now())
        request = GenerateRequest(model="m", messages=[{"role": "user", "content": "hello"}])
        self.call = Call(request=request, id=new_id(), started_at=self.clock.now(), stream=stream)
        self.began = self.clock.now()
        self.events = Events()
        self.recorder.listen(self.events)
        self.recorder.accounts[self.call.id] = None

    def pass_(self, seconds: float) -> None:
        self.clock.at += seconds

    def tell(self, kind: type[Any], **fields: Any) -> None:
        self.events.emit(kind(call_id=self.call.id, **fields))

    def attempted(self, seconds: float, **fields: Any) -> None:
        self.tell(AttemptEnded, deployment_id="m#0", provider="p", model="own", seconds=seconds, **fields)

    def settled(self, state: Any = "completed", cost: float | None = 0.5, **fields: Any) -> OperationRecord:
        answer = Answer(choices=[Choice(text="x")], model="m-1", provider="p", deployment_id="m#0", cost_usd=cost)
        outcome = Outcome(state, fields.pop("answer", answer), fields.pop("error", None))
        self.tell(CallSettled, call=self.call, outcome=outcome, seconds=self.clock.now() - self.began)
        record = decode_record(self.entries[-1])
        assert isinstance(record, OperationRecord)
        return record


def test_what_is_neither_waiting_nor_a_provider_is_overhead() -> None:
    told = Told()
    told.pass_(0.001)
    told.pass_(2.0)
    told.tell(CallAdmitted, limit="tenant", waited=2.0)
    told.pass_(0.003)
    told.pass_(1.0)
    failed = ProviderUnavailable("down")
    told.attempted(1.0, error=failed)
    told.tell(RetryScheduled, deployment_id="m#0", seconds=0.5, error=failed)
    told.pass_(0.5)
    told.pass_(1.5)
    told.attempted(1.5)
    told.pass_(0.005)
    record = told.settled()
    assert record.latency == pytest.approx(5_009_000, abs=2)
    assert record.overhead == pytest.approx(9_000, abs=2)
    assert record.queued == 2_000_000
    assert [(one.began, one.lasted) for one in record.attempts] == [
        (pytest.approx(2_004_000, abs=2), pytest.approx(1_000_000, abs=2)),
        (pytest.approx(3_504_000, abs=2), pytest.approx(1_500_000, abs=2)),
    ]


def test_waiting_within_an_attempt_is_counted_once() -> None:
    told = Told()
    told.pass_(2.0)
    told.tell(CallAdmitted, limit="deployment", waited=2.0)
    told.pass_(1.0)
    told.attempted(3.0)
    record = told.settled()
    assert (record.queued, record.overhead) == (2_000_000, 0)


def test_attempts_at_once_are_not_added_up() -> None:
    told = Told()
    told.pass_(1.0)
    told.attempted(1.0)
    told.attempted(0.9)
    told.pass_(0.25)
    assert told.settled().overhead == 250_000


def test_a_stream_has_its_first_token_and_lasts_to_its_end() -> None:
    told = Told(stream=True)
    told.pass_(0.2)
    told.attempted(0.2, streamed=True)
    told.pass_(3.0)
    record = told.settled()
    assert (record.first_token, record.latency, record.overhead) == (200_000, 3_200_000, 0)


def test_a_stream_that_went_on_elsewhere_has_both_attempts() -> None:
    told = Told(stream=True)
    told.pass_(0.25)
    told.attempted(0.25, streamed=True)
    told.pass_(1.0)
    broke = ProviderUnavailable("gone")
    told.tell(StreamEnded, deployment_id="m#0", provider="p", seconds=1.25, state="failed", error=broke)
    told.pass_(0.5)
    told.attempted(0.5, streamed=True)
    told.pass_(2.0)
    record = told.settled()
    assert [(one.lasted, one.error) for one in record.attempts] == [
        (1_250_000, "ProviderUnavailable"),
        (2_500_000, None),
    ]
    assert record.first_token == 250_000


def test_what_guards_found_is_kept_without_the_text() -> None:
    told = Told()
    told.tell(
        GuardTripped, guardrail="pii", rule="email", severity="high", action="redact", side="output", place="x", sent=7
    )
    assert told.settled().guards == (GuardVerdict("pii", "email", "high", "redact", "output", "x", 7),)


def test_a_stale_answer_says_so() -> None:
    told = Told()
    told.tell(CacheHit, tier="redis", age=9.0, stale=True, saved_usd=0.25)
    record = told.settled(cost=0.0)
    assert (record.cache, record.saved, record.cost) == ("redis (stale)", 250_000_000_000, 0)


def test_whom_a_shared_call_was_left_to_pays() -> None:
    told = Told()
    told.tell(CallShared, with_call="req_0")
    record = told.settled(cost=0.5)
    assert (record.cache, record.saved, record.cost) == (None, 0, 500_000_000_000)


def test_an_unknown_price_is_unknown_and_no_answer_costs_nothing() -> None:
    assert Told().settled(cost=None).cost is None
    assert Told().settled("failed", answer=None, error=ProviderUnavailable("down")).cost == 0


def test_an_attempt_that_ends_after_its_call_is_recorded_by_itself() -> None:
    told = Told()
    told.settled("abandoned", answer=None)
    told.pass_(3.0)
    told.attempted(3.0, error=ProviderUnavailable("down"))
    late = decode_record(told.entries[-1])
    assert isinstance(late, LateAttempt)
    assert late.operation.hex() == told.call.id.removeprefix("req_")
    assert (late.attempt.lasted, late.attempt.error) == (3_000_000, "ProviderUnavailable")


def test_a_call_that_was_refused_for_want_of_room_takes_none() -> None:
    told = Told()
    outcome = Outcome("failed", None, RecordsUnavailable("full"))
    told.tell(CallSettled, call=told.call, outcome=outcome, seconds=0.1)
    assert told.entries == []


def test_what_another_calls_request_brings_is_no_work_of_the_gateway() -> None:
    for event in (CallShared, CallBatched):
        told = Told()
        told.pass_(0.001)
        told.tell(event, with_call="req_of_another")
        told.pass_(2.0)
        assert told.settled().overhead == pytest.approx(1_000, abs=2)
