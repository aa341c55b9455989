"""What happened: frozen facts that layers emit, and how they reach their subscribers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from gatewright.errors import GatewayError

__all__ = ["AttemptEnded", "CallSettled", "CallStarted", "Emit", "Event", "Events", "Fallback", "RetryScheduled"]

log = logging.getLogger("gatewright.events")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the call `call_id`."""

    call_id: str


class CallStarted(Event, frozen=True, kw_only=True):
    """A call entered the gateway."""

    call: Any


class AttemptEnded(Event, frozen=True, kw_only=True):
    """One attempt at one deployment ended: with a reply that began (`error` is None) or with an error."""

    deployment_id: str
    provider: str
    seconds: float
    error: GatewayError | None = None


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


class CallSettled(Event, frozen=True, kw_only=True):
    """A call ended: `outcome` has its state, its value (whole or partial) and its error."""

    call: Any
    outcome: Any
    seconds: float


Emit = Callable[[Event], None]


class Events:
    """Hands every event to every subscriber; it never waits, and a subscriber's error never reaches a call."""

    __slots__ = ("_subscribers",)

    def __init__(self) -> None:
        self._subscribers: tuple[Callable[[Event], None], ...] = ()

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """Let `subscriber` have every event from now on; call what is returned to end it."""
        self._subscribers = (*self._subscribers, subscriber)

        def end() -> None:
            self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

        return end

    @property
    def heard(self) -> bool:
        """Whether anyone subscribes: events that cost something to make need not be made for nobody."""
        return bool(self._subscribers)

    def emit(self, event: Event) -> None:
        """Hand an event over, synchronously."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %s", type(event).__name__)
