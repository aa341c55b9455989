"""Hears what happens to each call, and appends its record to the journal before the caller has the answer."""

from __future__ import annotations

import math
import time
from binascii import unhexlify
from collections.abc import Callable

from gatewright.clock import Clock
from gatewright.errors import RecordsUnavailable
from gatewright.llmops.accounts import Account, AttemptMade, first_token, overhead, status_of, type_of
from gatewright.llmops.contents import answer_text, request_text
from gatewright.llmops.mending import mended
from gatewright.pipeline.events import (
    AttemptEnded,
    CacheHit,
    CallAdmitted,
    CallBatched,
    CallSettled,
    CallShared,
    Events,
    Fallback,
    GuardTripped,
    RefreshStarted,
    RetryScheduled,
    StreamEnded,
)
from gatewright.redaction import redact
from gatewright.types.records import GuardVerdict, LateAttempt, OperationRecord, encode_record
from gatewright.types.results import Answer, Embeddings
from gatewright.types.usage import NO_USAGE

__all__ = ["UNKNOWN", "Asked", "Recorder"]

Asked = tuple[str | None, str | None]
"""A deployment's lane, and where its price is from."""
UNKNOWN: Asked = (None, None)
MILLION = 1_000_000
PICODOLLARS = 1_000_000_000_000
MOST_MODELS = 4096
FIRST_LATE = 100
"""The number of an attempt that ended after its operation: far from those that ended in time."""
SUCCESS = status_of("completed", None)
UNEVENTFUL = Account()
"""Of a call to which nothing has happened; read only."""
SETTLED = Account()
"""Stands for that of a call that is not under way any more."""


class Recorder:
    """Hears a gateway's events, on its home loop; `append` takes the bytes of a record and never fails.

    `asked_of` gives a deployment's lane, and the source of its price (`configuration`, `catalogue`), by its id. With
    `content` what was asked and answered is recorded too, after `redact`. `accounts` has each call under way, by its
    id, from its beginning: None until something happens to it. An attempt whose caller went away while others waited
    for its answer is recorded when it ends.
    """

    def __init__(
        self,
        append: Callable[[bytes], None],
        *,
        clock: Clock,
        asked_of: Callable[[str], Asked | None] = lambda _: None,
        content: bool = False,
        redact: Callable[[str], str] = redact,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.accounts: dict[str, Account | None] = {}
        self._append = append
        self._now = clock.now
        self._asked_of = asked_of
        self._content = content
        self._redact = redact
        self._wall = wall
        self._models: dict[str, str] = {}
        self._late = 0

    def listen(self, events: Events) -> None:
        """Hear of what happens to each call from now on."""
        events.subscribe(self._refreshed, RefreshStarted)
        events.subscribe(self._attempted, AttemptEnded)
        events.subscribe(self._stream_ended, StreamEnded)
        events.subscribe(self._retried, RetryScheduled)
        events.subscribe(self._fell_back, Fallback)
        events.subscribe(self._admitted, CallAdmitted)
        events.subscribe(self._shared, CallShared)
        events.subscribe(self._batched, CallBatched)
        events.subscribe(self._hit, CacheHit)
        events.subscribe(self._tripped, GuardTripped)
        events.subscribe(self._settled, CallSettled)

    def _account(self, call_id: str) -> Account:
        """Give what is known of a call; one that nobody reads where it is not under way."""
        account = self.accounts.get(call_id, SETTLED)
        if account is None:
            account = self.accounts[call_id] = Account()
        return Account() if account is SETTLED else account

    def _refreshed(self, event: RefreshStarted) -> None:
        self.accounts[event.call_id] = None

    def _attempted(self, event: AttemptEnded) -> None:
        now = self._now()
        made = AttemptMade(event, now, True, now) if event.streamed else AttemptMade(event, now)
        account = self.accounts.get(event.call_id, SETTLED)
        if account is None:
            self.accounts[event.call_id] = Account((made,))
        elif account is not SETTLED:
            account.attempts = (*account.attempts, made)
        else:
            self._append_late(made)
        if event.deployment_id not in self._models:
            if len(self._models) >= MOST_MODELS:
                self._models.clear()
            self._models[event.deployment_id] = event.model

    def _stream_ended(self, event: StreamEnded) -> None:
        for made in reversed(self._account(event.call_id).attempts):
            if made.event.deployment_id == event.deployment_id and made.under_way:
                made.end(self._now(), event.error)
                return

    def _retried(self, event: RetryScheduled) -> None:
        account = self._account(event.call_id)
        account.eventful, account.retries = True, account.retries + 1
        if event.seconds > 0:
            now = self._now()
            account.rest(now, now + event.seconds)

    def _fell_back(self, event: Fallback) -> None:
        account = self._account(event.call_id)
        account.eventful, account.fallbacks = True, account.fallbacks + 1

    def _admitted(self, event: CallAdmitted) -> None:
        account, now = self._account(event.call_id), self._now()
        account.eventful, account.queued = True, account.queued + event.waited
        account.rest(now - event.waited, now)

    def _shared(self, event: CallShared) -> None:
        account, now = self._account(event.call_id), self._now()
        account.cache = "shared"
        account.rest(now, math.inf)  # what is done from now on is told of the other call

    def _batched(self, event: CallBatched) -> None:
        now = self._now()
        self._account(event.call_id).rest(now, math.inf)

    def _hit(self, event: CacheHit) -> None:
        account = self._account(event.call_id)
        account.cache = f"{event.tier} (stale)" if event.stale else event.tier
        account.saved = event.saved_usd or 0.0

    def _tripped(self, event: GuardTripped) -> None:
        account = self._account(event.call_id)
        verdict = GuardVerdict(
            event.guardrail, event.rule, event.severity, event.action, event.side, event.place, event.sent
        )
        account.eventful, account.guards = True, (*account.guards, verdict)

    def _settled(self, event: CallSettled) -> None:
        account = self.accounts.pop(event.call_id, None) or UNEVENTFUL
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
        call, outcome, seconds, attempts = event.call, event.outcome, event.seconds, account.attempts
        caller, model = call.caller, call.request.model
        answer: Answer | Embeddings | None = outcome.value
        own_name = provider = deployment = answered_model = price_source = None
        cost: int | None = 0
        lane, source = UNKNOWN
        usage = NO_USAGE
        if attempts:
            last = attempts[-1].event
            own_name, provider, deployment = last.model, last.provider, last.deployment_id
        if answer is not None:
            usage, answered_model = answer.usage, answer.model
            deployment, provider = answer.deployment_id or deployment, answer.provider or provider
            cost = None if answer.cost_usd is None else round(answer.cost_usd * PICODOLLARS)
        if deployment is not None:
            lane, source = self._asked_of(deployment) or UNKNOWN
            if cost:
                stated = usage.stated_cost_usd is not None and source != "configuration"
                price_source = "provider" if stated else source
        # By place: by name, so many fields would take three microseconds.
        record = OperationRecord(
            unhexlify(event.call_id[4:]),
            int((self._wall() - seconds) * 1000),
            type_of(call),
            SUCCESS if outcome.state == "completed" else status_of(outcome.state, outcome.error),
            own_name if attempts else self._models.get(deployment or "", model),
            provider,
            caller.tenant_id,
            caller.agent_id,
            caller.user,
            caller.session,
            caller.key_id,
            caller.tags,
            model,
            answered_model,
            deployment,
            lane,
            call.stream,
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            usage.source == "estimated",
            cost,
            price_source,
            int(seconds * MILLION),
            first_token(account, call.started_at) if call.stream else None,
            0,
            int(overhead(account, call.started_at, seconds) * MILLION),
        )
        if outcome.error is not None:
            record.error = type(outcome.error).__name__
        if account.eventful or account.cache is not None or len(attempts) > 1:
            _put_down(record, account, call.started_at, seconds, answer)
        return record

    def _append_late(self, made: AttemptMade) -> None:
        self._late = (self._late + 1) % 10_000
        operation = unhexlify(made.event.call_id[4:])
        self._append(
            encode_record(LateAttempt(operation, FIRST_LATE + self._late, made.record(made.began, made.ended)))
        )


def _put_down(
    record: OperationRecord, account: Account, began: float, seconds: float, answer: Answer | Embeddings | None
) -> None:
    """Put down what is not so with most calls: retries, waiting, verdicts, several attempts, a kept answer."""
    if account.eventful:
        record.retries, record.fallbacks, record.guards = account.retries, account.fallbacks, account.guards
        record.queued = int(account.queued * MILLION)
    if len(account.attempts) > 1:  # the only one of a call is what the operation says of itself
        record.attempts = tuple([made.record(began, began + seconds) for made in account.attempts])
    # Who shared an answer whose first asker went away made its attempts, or pays for it, and did not share it.
    elif account.cache is not None and answer is not None and not record.cost and not account.attempts:
        record.cache, record.cost = account.cache, 0
        saved = answer.saved_usd if account.cache == "shared" else account.saved
        record.saved = round((saved or 0.0) * PICODOLLARS)
