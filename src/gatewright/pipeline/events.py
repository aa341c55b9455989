"""What happened: frozen facts that layers emit, and how they reach their subscribers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from gatewright.errors import GatewayError
from gatewright.pipeline.settling import Ending

__all__ = [
    "AttemptEnded",
    "BreakerChanged",
    "CacheHit",
    "CallAdmitted",
    "CallBatched",
    "CallQueued",
    "CallSettled",
    "CallShared",
    "CallStarted",
    "Emit",
    "Event",
    "Events",
    "Fallback",
    "GuardTripped",
    "RefreshStarted",
    "RetryScheduled",
    "StreamEnded",
]

log = logging.getLogger("gatewright.events")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the call `call_id`."""

    call_id: str


class CallStarted(Event, frozen=True, kw_only=True):
    """A call entered the gateway."""

    call: Any


class RefreshStarted(CallStarted, frozen=True, kw_only=True):
    """A call entered that nobody made: the cache's own, for an answer past its time."""


class AttemptEnded(Event, frozen=True, kw_only=True):
    """One attempt at one deployment ended: with a reply that began (`error` is None) or with an error.

    `streamed` says that the reply has begun only: `seconds` is the time to its first chunk, and `StreamEnded` follows.
    `model` is the deployment's own name for it.
    """

    deployment_id: str
    provider: str
    model: str = ""
    seconds: float
    error: GatewayError | None = None
    streamed: bool = False


class StreamEnded(Event, frozen=True, kw_only=True):
    """A stream that an attempt began has ended, `seconds` after the attempt was made; `error` where it failed."""

    deployment_id: str
    provider: str
    seconds: float
    state: Ending
    error: BaseException | None = None


class RetryScheduled(Event, frozen=True, kw_only=True):
    """The next attempt at `deployment_id` starts after `seconds`."""

    deployment_id: str
    seconds: float
    error: GatewayError


class Fallback(Event, frozen=True, kw_only=True):
    """The model `source` failed with `error`; `target` is asked next."""

    source: str
    target: str
    error: GatewayError


class BreakerChanged(Event, frozen=True, kw_only=True):
    """A deployment's circuit breaker went from one state to another; it is no single call's doing.

    `open_for` is seconds until the first probe where it opened, None where someone opened it by hand or it did not.
    """

    call_id: str = ""
    deployment_id: str
    provider: str
    before: str
    after: str
    reason: str
    open_for: float | None = None


class CacheHit(Event, frozen=True, kw_only=True):
    """A call was answered from the cache's `tier` (`memory`, `file`, `redis`), with what was stored `age` seconds ago.

    `stale` says that it was past its time to live; `saved_usd` is what the answer had cost (None where that is not
    known), `saved_seconds` how long it had taken.
    """

    tier: str
    age: float
    stale: bool = False
    saved_usd: float | None = None
    saved_seconds: float = 0.0


class GuardTripped(Event, frozen=True, kw_only=True):
    """A guardrail's `rule` found something on the way in or out; `place` says where, never what.

    `severity` and `action` (`block`, `redact`, `warn`, `repair`) are what the rule has for the level in force;
    `sent` is how many characters of a stream's text had gone out, None where it is no stream.
    """

    guardrail: str
    rule: str
    severity: str
    action: str
    side: Literal["input", "output"]
    place: str = ""
    sent: int | None = None


class CallShared(Event, frozen=True, kw_only=True):
    """A call was found to be the same as `with_call`, whose answer it shares."""

    with_call: str


class CallBatched(Event, frozen=True, kw_only=True):
    """A call's texts go to the provider together with those of `with_call`, in one request."""

    with_call: str


class CallQueued(Event, frozen=True, kw_only=True):
    """A call waits for room at `limit`, `position`th of its tenant's there, for some `expected_wait` seconds."""

    limit: str
    position: int
    expected_wait: float


class CallAdmitted(Event, frozen=True, kw_only=True):
    """A call that waited for room, at `limit` at the first, may go, after `waited` seconds."""

    limit: str
    waited: float


class CallSettled(Event, frozen=True, kw_only=True):
    """A call ended: `outcome` has its state, its value (whole or partial) and its error."""

    call: Any
    outcome: Any
    seconds: float


Emit = Callable[[Event], None]
E = TypeVar("E", bound=Event)
_Entry = tuple[Callable[[Any], None], tuple[type[Event], ...]]


class Events:
    """Hands every event to its subscribers; it never waits, and a subscriber's error never reaches a call."""

    __slots__ = ("_by_kind", "_everything", "_kinds", "_subscribers", "heard", "hears_ends", "hears_starts")

    def __init__(self) -> None:
        self._subscribers: tuple[_Entry, ...] = ()
        self._by_kind: dict[type[Event], tuple[Callable[[Event], None], ...]] = {}
        self._kinds: frozenset[type[Event]] = frozenset()
        self._everything = False
        self.heard = False
        """Whether anyone subscribes: events that cost something to make need not be made for nobody."""
        self.hears_starts = False
        """Whether anyone subscribes to `CallStarted`, and to `CallSettled`: each is asked for each call."""
        self.hears_ends = False

    def subscribe(self, subscriber: Callable[[E], None], *kinds: type[E]) -> Callable[[], None]:
        """Let `subscriber` have the events of these kinds, or all, from now on; call what is returned to end it.

        A function or a method is told faster than an object that can be called: the interpreter runs it in place.
        """
        entry: _Entry = (subscriber, kinds or (Event,))
        self._set((*self._subscribers, entry))

        def end() -> None:
            self._set(tuple(other for other in self._subscribers if other is not entry))

        return end

    def _set(self, subscribers: tuple[_Entry, ...]) -> None:
        self._subscribers = subscribers
        self.heard = bool(subscribers)
        self._by_kind = {}
        self._kinds = frozenset(kind for _, kinds in subscribers for kind in kinds)
        self._everything = Event in self._kinds
        self.hears_starts = self.hears(CallStarted)
        self.hears_ends = self.hears(CallSettled)

    def _hearers(self, kind: type[Event]) -> tuple[Callable[[Event], None], ...]:
        """Find who hears a kind of event, for all events of it to come."""
        hearers = tuple(hearer for hearer, kinds in self._subscribers if issubclass(kind, kinds))
        self._by_kind[kind] = hearers
        return hearers

    def hears(self, *wanted: type[Event]) -> bool:
        """Whether anyone subscribes to one of these kinds."""
        return self._everything or not self._kinds.isdisjoint(wanted)

    def emit(self, event: Event) -> None:
        """Hand an event over, synchronously."""
        kind = type(event)
        hearers = self._by_kind.get(kind)
        for hearer in self._hearers(kind) if hearers is None else hearers:
            try:
                hearer(event)
            except Exception:
                log.exception("a subscriber failed on %s", kind.__name__)
