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
_TYPE = {name: place for place, name in enumerate(OPERATION_TYPES)}
_STATUS = {name: place for place, name in enumerate(STATUSES)}
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

    eventful: bool = False  # whether any of the numbers below is not what it is here
    attempts: tuple[AttemptMade, ...] = ()
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
    if isinstance(request, EmbedRequest):
        return _TYPE["embedding"]
    params = request.params
    if params and (params.get("tools") or params.get("functions")):
        return _TYPE["function_calling"]
    if call.stream:
        return _TYPE["streaming"]
    return _TYPE["chat" if request.style == "chat" else "completion"]


def status_of(state: str, error: BaseException | None) -> int:
    """Give how an operation ended; one whose caller went away is `cancelled`."""
    if state == "completed":
        return _STATUS["success"]
    if state == "abandoned" or isinstance(error, CallCancelled):
        return _STATUS["cancelled"]
    if isinstance(error, RateLimited):
        return _STATUS["rate_limited"]
    return _STATUS["timeout" if isinstance(error, DeadlineExceeded | ProviderTimeout) else "error"]


def first_token(account: Account, began: float) -> int | None:
    """Give the microseconds from the call to the first chunk of its first stream that began."""
    for made in account.attempts:
        if made.first is not None:
            return max(0, int((made.first - began) * MILLION))
    return None


def overhead(account: Account, began: float, seconds: float) -> float:
    """Give the seconds in which neither a provider was at work on the call nor the call waited for its turn."""
    ended = began + seconds
    if len(account.attempts) == 1 and not account.rests:
        only = account.attempts[0]
        return max(0.0, seconds - ((ended if only.under_way else only.ended) - only.began))
    spans = [(made.began, ended if made.under_way else made.ended) for made in account.attempts]
    covered, last = 0.0, began
    for start, end in sorted([*spans, *account.rests]):
        start, end = max(start, last), min(end, ended)
        if end > start:
            covered += end - start
            last = end
    return max(0.0, seconds - covered)
