"""Hears what happens to each call, and appends its record to the journal before the caller has the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from gatewright.clock import Clock
from gatewright.errors import RecordsUnavailable, redact
from gatewright.llmops.accounts import Account, AttemptMade, first_token, overhead, status_of, type_of
from gatewright.llmops.contents import answer_text, request_text
from gatewright.llmops.mending import mended
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import (
    AttemptEnded,
    CacheHit,
    CallAdmitted,
    CallSettled,
    CallShared,
    CallStarted,
    Event,
    Fallback,
    GuardTripped,
    RetryScheduled,
    StreamEnded,
)
from gatewright.types.caller import ANONYMOUS
from gatewright.types.records import (
    GuardVerdict,
    LateAttempt,
    OperationRecord,
    encode_record,
)
from gatewright.types.results import Answer, Embeddings
from gatewright.types.usage import NO_USAGE

__all__ = ["UNKNOWN", "Asked", "Recorder"]

log = logging.getLogger("gatewright.records")

Asked = tuple[str | None, str | None]
"""A deployment's lane, and where its price is from."""
UNKNOWN: Asked = (None, None)
MILLION = 1_000_000
PICODOLLARS = 1_000_000_000_000
MOST_MODELS = 4096
FIRST_LATE = 100
"""The number of an attempt that ended after its operation: far from those that ended in time."""
SUCCESS = status_of("completed", None)


class Recorder:
    """A subscriber of a gateway's events, on its home loop; `append` takes the bytes of a record and never fails.

    `asked_of` gives a deployment's lane, and the source of its price (`configuration`, `catalogue`), by its id. With
    `content` what was asked and answered is recorded too, after `redact`. An attempt whose caller went away while
    others waited for its answer is recorded when it ends.
    """

    KINDS = (
        CallStarted,
        AttemptEnded,
        StreamEnded,
        RetryScheduled,
        Fallback,
        CallAdmitted,
        CallShared,
        CacheHit,
        GuardTripped,
        CallSettled,
    )

    def __init__(
        self,
        append: Callable[[bytes], None],
        *,
        clock: Clock,
        asked_of: Callable[[str], Asked] = lambda _: UNKNOWN,
        content: bool = False,
        redact: Callable[[str], str] = redact,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._append = append
        self._clock = clock
        self._asked_of = asked_of
        self._content = content
        self._redact = redact
        self._wall = wall
        self._calls: dict[str, Account] = {}
        self._models: dict[str, str] = {}
        self._late = 0
        self._hear: dict[type[Event], Callable[[Any], None]] = {
            CallStarted: self._started,
            AttemptEnded: self._attempted,
            StreamEnded: self._stream_ended,
            RetryScheduled: self._retried,
            Fallback: self._fell_back,
            CallAdmitted: self._admitted,
            CallShared: self._shared,
            CacheHit: self._hit,
            GuardTripped: self._tripped,
            CallSettled: self._settled,
        }

    def __call__(self, event: Event) -> None:
        """Hear of an event."""
        self._hear[type(event)](event)

    def forget(self) -> None:
        """Forget the calls that are under way in the parent process."""
        self._calls = {}

    def _started(self, event: CallStarted) -> None:
        self._calls[event.call_id] = Account()

    def _attempted(self, event: AttemptEnded) -> None:
        account = self._calls.get(event.call_id)
        now = self._clock.now()
        made = AttemptMade(event, now, True, now) if event.streamed else AttemptMade(event, now)
        if account is None:
            self._append_late(made)
        else:
            account.attempts = (*account.attempts, made)
        if event.deployment_id not in self._models:
            if len(self._models) >= MOST_MODELS:
                self._models.clear()
            self._models[event.deployment_id] = event.model

    def _stream_ended(self, event: StreamEnded) -> None:
        account = self._calls.get(event.call_id)
        for made in reversed(account.attempts) if account is not None else ():
            if made.event.deployment_id == event.deployment_id and made.under_way:
                made.end(self._clock.now(), event.error)
                return

    def _retried(self, event: RetryScheduled) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            account.eventful, account.retries = True, account.retries + 1
            if event.seconds > 0:
                now = self._clock.now()
                account.rest(now, now + event.seconds)

    def _fell_back(self, event: Fallback) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            account.eventful, account.fallbacks = True, account.fallbacks + 1

    def _admitted(self, event: CallAdmitted) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            now = self._clock.now()
            account.eventful, account.queued = True, account.queued + event.waited
            account.rest(now - event.waited, now)

    def _shared(self, event: CallShared) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            account.cache = "shared"

    def _hit(self, event: CacheHit) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            account.cache = f"{event.tier} (stale)" if event.stale else event.tier
            account.saved = event.saved_usd or 0.0

    def _tripped(self, event: GuardTripped) -> None:
        if (account := self._calls.get(event.call_id)) is not None:
            verdict = GuardVerdict(
                event.guardrail, event.rule, event.severity, event.action, event.side, event.place, event.sent
            )
            account.eventful, account.guards = True, (*account.guards, verdict)

    def _settled(self, event: CallSettled) -> None:
        account = self._calls.pop(event.call_id, None) or Account()
        if isinstance(event.outcome.error, RecordsUnavailable):
            return  # it was refused because there is no room for it
        record = self._record(event, account)
        if self._content:
            record.request = self._redact(request_text(event.call.request))
            answer = answer_text(event.outcome.value)
            record.answer = None if answer is None else self._redact(answer)
        try:
            entry = encode_record(record)
        except (UnicodeEncodeError, OverflowError):
            entry = encode_record(mended(record))
        self._append(entry)

    def _record(self, event: CallSettled, account: Account) -> OperationRecord:
        call: Call = event.call
        outcome, seconds, caller, attempts = event.outcome, event.seconds, call.caller, account.attempts
        began, last = call.started_at, attempts[-1].event if attempts else None
        record = OperationRecord(
            bytes.fromhex(event.call_id[4:]),
            int((self._wall() - seconds) * 1000),
            type_of(call),
            SUCCESS if outcome.state == "completed" else status_of(outcome.state, outcome.error),
            tenant=caller.tenant_id,
            requested_model=call.request.model,
            latency=int(seconds * MILLION),
            overhead=int(overhead(account, began, seconds) * MILLION),
        )
        if caller is not ANONYMOUS:
            record.agent, record.user, record.session = caller.agent_id, caller.user, caller.session
            record.key, record.tags = caller.key_id, caller.tags
        if outcome.error is not None:
            record.error = type(outcome.error).__name__
        if account.eventful:
            record.retries, record.fallbacks, record.guards = account.retries, account.fallbacks, account.guards
            record.queued = int(account.queued * MILLION)
        if last is not None:
            record.model, record.provider, record.deployment = last.model, last.provider, last.deployment_id
            # The only attempt of a call is what the operation says of itself.
            if len(attempts) > 1:
                record.attempts = tuple([made.record(began, began + seconds) for made in attempts])
        if call.stream:
            record.streamed, record.first_token = True, first_token(account, began)
        answer: Answer | Embeddings | None = outcome.value
        if answer is not None:
            self._answered(record, answer, account)
        else:
            record.cost = 0
        if last is None:
            record.model = self._models.get(record.deployment or "", record.requested_model)
        if record.deployment is not None:
            record.lane, source = self._asked_of(record.deployment)
            if record.cost and answer is not None:
                stated = answer.usage.stated_cost_usd is not None and source != "configuration"
                record.price_source = "provider" if stated else source
        return record

    def _answered(self, record: OperationRecord, answer: Answer | Embeddings, account: Account) -> None:
        """Put down what an answer, or the part of it that came, used and cost."""
        record.answered_model = answer.model
        record.deployment = answer.deployment_id or record.deployment
        record.provider = answer.provider or record.provider
        usage, cost = answer.usage, answer.cost_usd
        if usage is not NO_USAGE:
            record.prompt_tokens, record.completion_tokens = usage.prompt_tokens, usage.completion_tokens
            record.cached_tokens, record.cache_write_tokens = usage.cached_tokens, usage.cache_write_tokens
            record.reasoning_tokens, record.estimated = usage.reasoning_tokens, usage.source == "estimated"
        if account.cache is None or cost or account.attempts:
            # Who shared an answer whose first asker went away pays for it, and did not share it.
            record.cost = None if cost is None else round(cost * PICODOLLARS)
        else:
            record.cache, record.cost = account.cache, 0
            saved = answer.saved_usd if account.cache == "shared" else account.saved
            record.saved = round((saved or 0.0) * PICODOLLARS)

    def _append_late(self, made: AttemptMade) -> None:
        self._late = (self._late + 1) % 10_000
        operation = bytes.fromhex(made.event.call_id[4:])
        self._append(
            encode_record(LateAttempt(operation, FIRST_LATE + self._late, made.record(made.began, made.ended)))
        )
