"""Deduplication: identical calls under way, and those that come a moment later, share one upstream call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from gatewright.clock import Clock
from gatewright.errors import CallCancelled, DeadlineExceeded, GatewayError, StreamInterrupted
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.flights import Flights
from gatewright.layers.deduplication.journey import Journey, WholeJourney
from gatewright.layers.deduplication.stream import StreamJourney
from gatewright.pipeline.call import AS_CONFIGURED, Call, CallOptions
from gatewright.pipeline.events import CallShared, Events
from gatewright.pipeline.fingerprint import USUAL, fingerprint
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import EmbedRequest

__all__ = ["DeduplicationLayer"]

MORE_TIME = 1.0
"""Seconds that a caller must have beyond the one whose call it shared, to try again what failed for want of time."""
EVERYTHING_SAID = frozenset(USUAL)


class DeduplicationLayer:
    """Makes each distinct call once, whoever of those who want its answer stays or goes."""

    def __init__(
        self,
        config: DeduplicationConfig,
        clock: Clock,
        events: Events,
        policy: Callable[[Call], str] | None = None,
    ) -> None:
        self._config = config
        self._policy = policy  # the version of the guards that an answer passes: one of another is another answer
        self._now = clock.now
        self._events = events
        self._flights = Flights(config.window)

    def __call__(self, call: Call, proceed: Handler, /) -> Coroutine[Any, Any, Reply[Any, Any]]:
        """Join the flight of this request, or start it."""
        key = self.key_of(call)
        if key is None:
            return proceed(call)
        flight, member = self._flights.join(key, self._now())
        if flight.journey is None and not call.stream:
            journey = flight.journey = WholeJourney(self, key, flight, call, proceed)
            return journey.lead(member)
        return self._share(key, flight, member, call, proceed)

    async def _share(
        self, key: Hashable, flight: Flight, member: Member, call: Call, proceed: Handler
    ) -> Reply[Any, Any]:
        while (journey := flight.journey) is not None:
            if self._events.hears(CallShared):
                self._events.emit(CallShared(call_id=call.id, with_call=journey.call_id))
            try:
                return await journey.reply(member)
            except GatewayError as error:
                if not _was_cut_short(error, journey.call, call):
                    raise error.copy_for(call.id) from error
            flight, member = self._flights.join(key, self._now())
        if not call.stream:
            journey = flight.journey = WholeJourney(self, key, flight, call, proceed)
            return await journey.lead(member)
        journey = flight.journey = StreamJourney(self, key, flight, call, proceed)
        return await journey.reply(member)

    def key_of(self, call: Call) -> Hashable:
        """Give what makes two calls the same; None for a call that is like no other."""
        request, options = call.request, call.options
        how = None
        if options is not AS_CONFIGURED:
            if options.deduplicate is False or (options.deduplicate is None and _wants_it_fresh(options)):
                return None
            how = (options.max_retries, options.fallbacks, options.drop_params, options.continue_streams, options.cache)
        params = request.params
        varied = bool(params) and self._config.wants_variety(params)
        if varied and not options.deduplicate and not isinstance(request, EmbedRequest):
            return None
        # What the model's deployments set themselves is not known here: nothing goes without saying.
        asked = call.fingerprint or fingerprint(request, EVERYTHING_SAID)
        if self._policy is not None:
            how = (how, self._policy(call))
        return None if asked is None else (call.caller.tenant_id, request.model, asked, call.stream, how)

    def landed(self, journey: Journey) -> None:
        """Keep a flight that landed for the window."""
        self._flights.land(journey.key, journey.flight, self._now())

    def failed(self, journey: Journey, error: BaseException) -> None:
        """Forget a flight that failed: the next call starts anew."""
        self._flights.fail(journey.key, journey.flight, error)

    def left(self, journey: Journey, member: Member) -> bool:
        """Let a member go; True where the upstream call is of no use to anybody any more."""
        departure = self._flights.leave(journey.key, journey.flight, member)
        if journey.flight.state != "flying":
            return False
        if departure == "new_leader" and (leader := journey.flight.leader) is not None:
            # It is the one who pays now, and whoever left does not.
            leader.shared, member.shared = False, True
        return departure == "nobody_left"

    def forget(self) -> None:
        """Let go of every flight: their tasks belong to an event loop that is gone."""
        self._flights = Flights(self._config.window)


def _wants_it_fresh(options: CallOptions) -> bool:
    return options.cache is not None and options.cache.no_cache


def _was_cut_short(error: GatewayError, leading: Call, mine: Call) -> bool:
    """Whether a shared call failed for want of time, or for its leader's leaving, that this caller still has."""
    if isinstance(error, CallCancelled):
        return True
    if leading.deadline is None or isinstance(error, StreamInterrupted):
        return False
    more_time = mine.deadline is None or mine.deadline > leading.deadline + MORE_TIME
    return more_time and (isinstance(error, DeadlineExceeded) or error.retryable)
