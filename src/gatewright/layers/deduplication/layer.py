"""Deduplication: identical calls under way, and those that come a moment later, share one upstream call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.deduplication.again import waited_for_another, was_cut_short
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.flights import Flights
from gatewright.layers.deduplication.landed import Landed
from gatewright.layers.deduplication.stream import StreamFlight
from gatewright.layers.deduplication.whole import WholeFlight
from gatewright.pipeline.call import AS_CONFIGURED, Call, CallOptions
from gatewright.pipeline.events import CallShared, Events
from gatewright.pipeline.fingerprint import USUAL, canonical_text, digest_of
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import GenerateRequest

__all__ = ["DeduplicationLayer"]

SHORT = 448
"""Bytes up to which a request is its own key: that is cheaper than to hash it, and as small as Python keeps apart."""
EVERYTHING_SAID = frozenset(USUAL)
AS_OTHERS = (None,) * 5
"""What a call says that wants nothing otherwise, though it has options of its own, such as a timeout."""


class DeduplicationLayer:
    """Makes each distinct call once, whoever of those who want its answer stays or goes."""

    def __init__(
        self,
        config: DeduplicationConfig,
        clock: Clock,
        events: Events,
        policy: Callable[[Call], str] | None = None,
    ) -> None:
        self._varied = config.wants_variety
        self._window = config.window
        self._policy = policy  # the version of the guards that an answer passes: one of another is another answer
        self._clock = clock
        self._events = events
        self._flights = Flights(clock.now, config.window)
        self.by_key = False
        """Whether callers' keys have limits of their own: nobody is to wait for another's key's, or pay there."""

    def __call__(self, call: Call, proceed: Handler, /) -> Coroutine[Any, Any, Reply[Any, Any]]:
        """Join the flight of this request, or start it."""
        key = self.key_of(call)
        if key is None:
            return proceed(call)
        flights = self._flights
        found = flights.find(key) if key in flights.by_key else None
        if found is not None:
            return self._share(found, found.join() if isinstance(found, Flight) else None, call, proceed)
        member = Member(shared=False)
        if call.stream:
            stream = StreamFlight(key=key, call=call, flights=flights, leader=member)
            stream.work = stream.fly(proceed)
            flights.start(stream)
            return stream.reply(member)
        flight = WholeFlight(work=proceed(call), key=key, call=call, flights=flights, leader=member)
        flights.start(flight)
        running: Any = flight.run()
        return running

    async def _share(
        self, found: Flight | Landed, member: Member | None, call: Call, proceed: Handler, *, refused: bool = False
    ) -> Reply[Any, Any]:
        if self._events.hears(CallShared):
            self._events.emit(CallShared(call_id=call.id, with_call=found.call_id))
        if member is None or not isinstance(found, Flight):
            assert isinstance(found, Landed)
            return found.reply()
        try:
            reply = await found.reply(member)
        except GatewayError as error:
            if waited_for_another(error) and not refused:
                return await self._anew(call, proceed)
            if not was_cut_short(error, found.call.deadline, call):
                raise error.copy_for(call.id) from error
        else:
            if not reply.is_whole:
                reply.on_failure = lambda error, _: _own(error, call)
            return reply
        return await self(call, proceed)

    async def _anew(self, call: Call, proceed: Handler) -> Reply[Any, Any]:
        """Try again what a limit refused to another, who had waited longer; once, or many would wait one by one."""
        found = self._flights.find(self.key_of(call))
        if found is None:
            return await self(call, proceed)
        member = found.join() if isinstance(found, Flight) else None
        return await self._share(found, member, call, proceed, refused=True)

    def key_of(self, call: Call) -> Hashable:
        """Give what makes two calls the same; None for a call that is like no other."""
        request, options = call.request, call.options
        how = None
        if options is not AS_CONFIGURED:
            if options.deduplicate is False or (options.deduplicate is None and _wants_it_fresh(options)):
                return None
            how = (options.max_retries, options.fallbacks, options.drop_params, options.continue_streams, options.cache)
            if how == AS_OTHERS:
                how = None
        params = request.params
        if params and type(request) is GenerateRequest and not options.deduplicate and self._varied(params):
            return None
        # What the model's deployments set themselves is not known here: nothing goes without saying.
        asked = call.fingerprint or canonical_text(request, EVERYTHING_SAID)
        if asked is None:
            return None
        if len(asked) > SHORT:
            asked = digest_of(asked)
        if self._policy is not None:
            how = (how, self._policy(call))
        if self.by_key:
            how = (how, call.caller.key_id)
        return (call.caller.tenant_id, request.model, asked, call.stream, how)

    def forget(self) -> None:
        """Let go of every flight: their tasks belong to an event loop that is gone."""
        self._flights = Flights(self._clock.now, self._window)


def _wants_it_fresh(options: CallOptions) -> bool:
    return options.cache is not None and options.cache.no_cache


def _own(error: BaseException, call: Call) -> BaseException:
    return error.copy_for(call.id) if isinstance(error, GatewayError) else error
