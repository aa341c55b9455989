"""What is known of a call under way, and what follows from it: its kind, how it ended, where its time went."""

from __future__ import annotations

import msgspec

from gatewright.errors import CallCancelled, DeadlineExceeded, ProviderTimeout, RateLimited
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import AttemptEnded
from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import AttemptRecord, GuardVerdict
from gatewright.types.requests import EmbedRequest

__all__ = ["Account", "AttemptMade", "first_token", "overhead", "status_of", "type_of"]

MILLION = 1_000_000
_COMPLETION, _CHAT, _EMBEDDING, _STREAMING, _FUNCTION_CALLING = range(len(OPERATION_TYPES))
_SUCCESS, _ERROR, _TIMEOUT, _RATE_LIMITED, _CANCELLED = range(len(STATUSES))
Span = tuple[float, float]


class AttemptMade(msgspec.Struct):
    """An attempt: `ended` is when it did, or when its stream began where that is still under way."""

    event: AttemptEnded
    ended: float
    under_way: bool = False
    first: float | None = None  # when its stream began
    streamed: float = 0.0  # seconds
    failure: BaseException | None = None

    @property
    def began(self) -> float:
        """When it was made."""
        return self.ended - self.streamed - self.event.seconds

    def end(self, now: float, error: BaseException | None) -> None:
        """Hear that its stream has ended."""
        self.streamed = now - self.ended
        self.ended, self.failure, self.under_way = now, error, False

    def record(self, began: float, ended: float) -> AttemptRecord:
        """Give its record in an operation that lasted from `began` to `ended`."""
        event, start = self.event, self.began
        lasted = (ended if self.under_way else self.ended) - start
        error = event.error or self.failure
        first = int((start - began) * MILLION)
        return AttemptRecord(
            event.deployment_id,
            event.provider,
            first if first > 0 else 0,  # the operation's and the attempt's clocks were read a moment apart
            int(lasted * MILLION),
            None if error is None else type(error).__name__,
        )


class Account(msgspec.Struct):
    """What has happened to a call so far; most calls need no more than the one attempt."""

    attempts: tuple[AttemptMade, ...] = ()
    eventful: bool = False  # whether retries, fallbacks, guards or waiting are not what they are here
    rests: tuple[Span, ...] = ()
    queued: float = 0.0
    retries: int = 0
    fallbacks: int = 0
    cache: str | None = None
    saved: float = 0.0
    guards: tuple[GuardVerdict, ...] = ()

    def rest(self, start: float, end: float) -> None:
        """Hear of a time in which the call waited for its turn."""
        self.rests = (*self.rests, (start, end))


def type_of(call: Call) -> int:
    """Give what kind of operation a call is: one that offers tools is `function_calling`, streamed or not."""
    request = call.request
    if type(request) is EmbedRequest:
        return _EMBEDDING
    params = request.params
    if params and (params.get("tools") or params.get("functions")):
        return _FUNCTION_CALLING
    if call.stream:
        return _STREAMING
    return _CHAT if request.style == "chat" else _COMPLETION


def status_of(state: str, error: BaseException | None) -> int:
    """Give how an operation ended; one whose caller went away is `cancelled`."""
    if state == "completed":
        return _SUCCESS
    if state == "abandoned" or isinstance(error, CallCancelled):
        return _CANCELLED
    if isinstance(error, RateLimited):
        return _RATE_LIMITED
    return _TIMEOUT if isinstance(error, DeadlineExceeded | ProviderTimeout) else _ERROR


def first_token(account: Account, began: float) -> int | None:
    """Give the microseconds from the call to the first chunk of its first stream that began."""
    for made in account.attempts:
        if made.first is not None:
            return max(0, int((made.first - began) * MILLION))
    return None


def overhead(account: Account, began: float, seconds: float) -> float:
    """Give the seconds in which neither a provider was at work on the call nor the call waited for its turn."""
    attempts, ended = account.attempts, began + seconds
    if not account.rests and len(attempts) < 2:
        if not attempts:
            return seconds
        only = attempts[0]
        lasted = ended - only.began if only.under_way else only.event.seconds + only.streamed
        return seconds - lasted if lasted < seconds else 0.0
    spans = [(made.began, ended if made.under_way else made.ended) for made in attempts]
    covered, last = 0.0, began
    for start, end in sorted([*spans, *account.rests]):
        start, end = max(start, last), min(end, ended)
        if end > start:
            covered += end - start
            last = end
    return max(0.0, seconds - covered)
