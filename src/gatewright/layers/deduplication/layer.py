"""Deduplication: identical calls under way, and those that come a moment later, share one upstream call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.errors import CallCancelled, DeadlineExceeded, GatewayError, StreamInterrupted
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.deduplication.flight import Flight, Member
from gatewright.layers.deduplication.flights import Flights
from gatewright.layers.deduplication.key import request_key
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import CallShared, Events
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Chunk, Embeddings

__all__ = ["DeduplicationLayer"]


MORE_TIME = 1.0
"""Seconds that a caller must have beyond the one whose call it shared, to try again what failed for want of time."""


class DeduplicationLayer:
    """Runs each distinct call once, in a task of its own that no single caller's leaving ends."""

    def __init__(self, config: DeduplicationConfig, clock: Clock, events: Events) -> None:
        self._config = config
        self._clock = clock
        self._events = events
        self._flights = Flights(config.window)
        self._journeys: dict[Flight, _Journey] = {}

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Join the flight of this request, or start it."""
        key = self._key(call)
        if key is None:
            return await proceed(call)
        while True:
            flight, member = self._flights.join(key, self._clock.now())
            journey = self._journeys.get(flight)
            if journey is None:
                journey = self._start(key, flight, call, proceed)
            elif self._events.heard:
                self._events.emit(CallShared(call_id=call.id, with_call=journey.call.id))
            try:
                return await journey.reply(member)
            except GatewayError as error:
                if journey.call is call:
                    raise
                if not _was_cut_short(error, journey.call, call):
                    raise error.copy_for(call.id) from error

    def _key(self, call: Call) -> bytes | None:
        request = call.request
        wanted = call.options.deduplicate
        if wanted is False or (wanted is None and self._wants_variety(request)):
            return None
        tenant = call.caller.tenant_id
        if isinstance(request, EmbedRequest):
            return request_key(tenant, "embed", request.model, request.inputs, request.params)
        operation = f"{request.style}{'+' if call.stream else ''}{call.options.fallbacks or ''}"
        asked = request.messages if request.style == "chat" else (request.prompt,)
        return request_key(tenant, operation, request.model, asked, request.params)

    def _wants_variety(self, request: GenerateRequest | EmbedRequest) -> bool:
        params = request.params
        if not params or isinstance(request, EmbedRequest):
            return False
        temperature = params.get("temperature")
        hot = isinstance(temperature, int | float) and temperature > self._config.max_temperature
        return hot or params.get("n", 1) != 1

    def _start(self, key: bytes, flight: Flight, call: Call, proceed: Handler) -> _Journey:
        journey = _Journey(self, key, flight, call)
        self._journeys[flight] = journey
        journey.task = asyncio.get_running_loop().create_task(journey.run(proceed))
        return journey

    def landed(self, journey: _Journey) -> None:
        """Keep a flight that landed for the window."""
        self._flights.land(journey.key, journey.flight, self._clock.now())
        self._forget_old()

    def failed(self, journey: _Journey, error: BaseException) -> None:
        """Forget a flight that failed: the next call starts anew."""
        self._flights.fail(journey.key, journey.flight, error)
        self._journeys.pop(journey.flight, None)

    def left(self, journey: _Journey, member: Member) -> None:
        """Let a member go; with the last one goes the upstream call."""
        departure = self._flights.leave(journey.key, journey.flight, member)
        if journey.flight.state != "flying":
            return
        if departure == "nobody_left":
            self._journeys.pop(journey.flight, None)
            journey.cancel()
        elif departure == "new_leader" and (leader := journey.flight.leader) is not None:
            leader.shared = False  # it is the one who pays now

    def forget(self) -> None:
        """Let go of every flight: their tasks belong to an event loop that is gone."""
        self._flights = Flights(self._config.window)
        self._journeys = {}

    def _forget_old(self) -> None:
        self._flights.expire(self._clock.now())
        if len(self._journeys) > 2 * len(self._flights) + 64:
            known = set(self._flights)
            self._journeys = {flight: journey for flight, journey in self._journeys.items() if flight in known}


class _Journey:
    """The awaiting side of one flight: the task that flies it, and those who wait aboard."""

    __slots__ = ("_answer", "_layer", "_reply", "_waiting", "call", "flight", "key", "task")

    def __init__(self, layer: DeduplicationLayer, key: bytes, flight: Flight, call: Call) -> None:
        self._layer = layer
        self.key = key
        self.flight = flight
        self.call = call
        self.task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._reply: Reply[Any, Any] | None = None
        self._answer: Answer | Embeddings | None = None

    async def run(self, proceed: Handler) -> None:
        """Make the upstream call and feed what comes to the flight."""
        try:
            reply = self._reply = await proceed(self.call)
            async with reply:
                if reply.is_whole or not self.call.stream:
                    self._answer = await reply.value()
                else:
                    await self._read(reply)
        except BaseException as error:
            known = error if isinstance(error, Exception) else CallCancelled("the call that was shared was cancelled")
            self._layer.failed(self, known)
            if not isinstance(error, Exception):
                raise
        else:
            self._layer.landed(self)
        finally:
            self._wake()

    async def _read(self, reply: Reply[Chunk, Answer]) -> None:
        while batch := await reply.batch():
            self.flight.feed(batch)
            self._wake()
            while not self.flight.has_room:
                await self._changed()
        assert reply.outcome is not None
        self._answer = reply.outcome.value

    def cancel(self) -> None:
        """End the upstream call: nobody wants its answer any more."""
        if self.task is not None:
            self.task.cancel()

    async def reply(self, member: Member) -> Reply[Any, Any]:
        """Give a member its own reply of what the flight brings."""
        try:
            while self.flight.state == "flying" and not self.flight.held:
                await self._changed()
            if self.flight.state == "failed" and not self.flight.held:
                assert self.flight.error is not None
                raise self.flight.error
            if not self.call.stream:
                self._layer.left(self, member)
                return self._whole(member)
            reply = await Reply.begin(self._batches(member), _MemberFold(self, member))
        except BaseException:
            self._layer.left(self, member)
            raise
        reply.when_settled(lambda _: self._layer.left(self, member))
        return self._marked(reply, member)

    def _whole(self, member: Member) -> Reply[Any, Any]:
        answer = self.answer(member)
        return self._marked(Reply.whole(answer, chunks_of if isinstance(answer, Answer) else None), member)

    def _marked(self, reply: Reply[Any, Any], member: Member) -> Reply[Any, Any]:
        reply.cached = member.shared
        reply.attempts = 0 if member.shared or self._reply is None else self._reply.attempts
        return reply

    def answer(self, member: Member) -> Any:
        """Give the whole answer; to those who share it, at no cost."""
        answer = self._answer
        if answer is None:
            return None
        cost = 0.0 if member.shared else answer.cost_usd
        # The lists are each caller's own: what one does to them is not to be seen by the others.
        if isinstance(answer, Embeddings):
            return msgspec.structs.replace(answer, vectors=list(answer.vectors), cost_usd=cost)
        return msgspec.structs.replace(answer, choices=list(answer.choices), cost_usd=cost)

    async def _batches(self, member: Member) -> AsyncGenerator[list[Chunk], None]:
        flight = self.flight
        while True:
            if batch := flight.read(member):
                self._wake()
                yield batch
            elif flight.state == "flying":
                await self._changed()
            elif flight.error is not None:
                raise flight.error
            else:
                return

    async def _changed(self) -> None:
        """Wait until the flight moves on, or a reader does."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(changed)
        await changed

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)


class _MemberFold(AnswerFold):
    """Adds up what one member read; once it has landed, its value is the flight's answer."""

    __slots__ = ("_journey", "_member")

    def __init__(self, journey: _Journey, member: Member) -> None:
        super().__init__(model=journey.call.request.model, provider="")
        self._journey = journey
        self._member = member

    def value(self) -> Answer:
        flight = self._journey.flight
        whole = self._journey.answer(self._member) if flight.state == "landed" else None
        return super().value() if whole is None or flight.unread(self._member) else whole


def _was_cut_short(error: GatewayError, leading: Call, mine: Call) -> bool:
    """Whether a shared call failed for want of time, or for its leader's leaving, that this caller still has."""
    if isinstance(error, CallCancelled):
        return True
    if leading.deadline is None or isinstance(error, StreamInterrupted):
        return False
    more_time = mine.deadline is None or mine.deadline > leading.deadline + MORE_TIME
    return more_time and (isinstance(error, DeadlineExceeded) or error.retryable)
