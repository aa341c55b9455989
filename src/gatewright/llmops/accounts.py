"""What is known of a call under way, and what follows from it: its kind, how it ended, where its time went."""

from __future__ import annotations

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


class AttemptMade:
    """An attempt: `ended` is when it did, or when its stream began where that is still under way."""

    __slots__ = ("call_id", "deployment_id", "ended", "error", "first", "model", "provider", "seconds", "under_way")

    def __init__(self, event: AttemptEnded, now: float) -> None:
        self.call_id = event.call_id
        self.deployment_id = event.deployment_id
        self.provider = event.provider
        self.model = event.model
        self.seconds = event.seconds
        self.ended = now
        self.error: BaseException | None = event.error
        self.under_way = event.streamed
        self.first = now if event.streamed else None  # when its stream began

    @property
    def began(self) -> float:
        """When it was made."""
        return self.ended - self.seconds

    def end(self, now: float, error: BaseException | None) -> None:
        """Hear that its stream has ended."""
        self.seconds += now - self.ended
        self.ended, self.error, self.under_way = now, error, False

    def record(self, began: float, ended: float) -> AttemptRecord:
        """Give its record in an operation that lasted from `began` to `ended`."""
        start = self.ended - self.seconds
        lasted = ended - start if self.under_way else self.seconds
        error = None if self.error is None else type(self.error).__name__
        # The operation's and the attempt's clocks were read a moment apart.
        first = max(0, int((start - began) * MILLION))
        return AttemptRecord(self.deployment_id, self.provider, first, max(0, int(lasted * MILLION)), error)


class Account:
    """What has happened to a call so far; most calls need no more than the one attempt."""

    attempts: list[AttemptMade] = []
    rests: list[Span] = []
    queued: float = 0.0
    retries: int = 0
    fallbacks: int = 0
    cache: str | None = None
    saved: float = 0.0
    guards: list[GuardVerdict] = []

    def rest(self, start: float, end: float) -> None:
        """Hear of a time in which the call waited for its turn."""
        self.rests = [*self.rests, (start, end)]


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
    spans = [(made.began, ended if made.under_way else made.ended) for made in account.attempts]
    if len(spans) == 1 and not account.rests:
        start, end = spans[0]
        return max(0.0, seconds - (end - start))
    covered, last = 0.0, began
    for start, end in sorted([*spans, *account.rests]):
        start, end = max(start, last), min(end, ended)
        if end > start:
            covered += end - start
            last = end
    return max(0.0, seconds - covered)
