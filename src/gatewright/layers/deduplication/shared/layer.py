"""Identical calls of several processes are one upstream call: one process makes it, the others follow in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import RateLimited
from gatewright.layers.deduplication.again import waited_for_another, was_cut_short
from gatewright.layers.deduplication.shared.board import SharedBoard
from gatewright.layers.deduplication.shared.follow import FollowedFold, LeaderGone, followed_batches, followed_parts
from gatewright.layers.deduplication.shared.lead import Lead
from gatewright.layers.deduplication.shared.led import LedStream
from gatewright.layers.deduplication.shared.parts import Came, Failed, Landed, Whole, failure, whole_part
from gatewright.layers.deduplication.whole import made_whole
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import CallShared, Events
from gatewright.pipeline.failing import failing
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import chunks_of
from gatewright.types.results import Answer

__all__ = ["SharedFlightsLayer"]

CLOSING_PATIENCE = 0.25
"""Seconds for which the last that is to be told is waited for."""


class SharedFlightsLayer:
    """Stands inside this process's own deduplication, so that one call of each kind comes here at a time.

    `key_of` gives what makes two calls the same, None for one that is like no other. Where Redis does not answer, each
    process makes its own call.
    """

    def __init__(
        self, board: SharedBoard, key_of: Callable[[Call], Hashable], events: Events, clock: Clock = MONOTONIC
    ) -> None:
        self._board = board
        self._clock = clock
        self._key_of = key_of
        self._events = events
        self._leads: set[Lead] = set()
        self._streams: set[asyncio.Task[None]] = set()

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Lead the flight of this request, or follow whoever does."""
        key = self._key_of(call)
        if key is None:
            return await proceed(call)
        name, refused = _name(call, key), False
        while True:
            joined = await self._board.join(name, call.id)
            if joined is None:
                return await proceed(call)
            leader, age = joined
            if leader == call.id:
                return await self._lead(name, call, proceed)
            if self._events.hears(CallShared):
                self._events.emit(CallShared(call_id=call.id, with_call=leader))
            try:
                reply = await self._follow(name, leader, call, proceed)
            except RateLimited as error:
                if refused or not waited_for_another(error):
                    raise
                reply, refused = None, True  # it tries once itself
            if reply is not None:
                reply.age = age
                return reply

    async def _lead(self, name: str, call: Call, proceed: Handler) -> Reply[Any, Any]:
        lead = Lead(self._board, name, call.id)
        self._leads.add(lead)
        lead.task.add_done_callback(lambda _: self._leads.discard(lead))
        if call.stream:
            led = LedStream(call, proceed, lead, self._clock)
            self._streams.add(led.task)
            led.task.add_done_callback(self._streams.discard)
            return await led.reply()
        try:
            reply = await proceed(call)
            if not reply.is_whole:
                reply = await made_whole(reply)
        except BaseException as error:
            lead.failed(failure(error, call.time_left(self._clock.now())))
            raise
        if reply.outcome is not None and isinstance(reply.outcome.error, Exception):
            lead.failed(failure(reply.outcome.error, call.time_left(self._clock.now())))
            return failing(reply.partial(), reply.outcome.error).like(reply)
        lead.landed(whole_part(reply.partial()))
        return reply

    async def _follow(self, name: str, leader: str, call: Call, proceed: Handler) -> Reply[Any, Any] | None:
        """Give the leader's answer; None where it went away, or had no time left, before there was any of it."""
        parts = followed_parts(self._board, name, leader)
        try:
            first = await anext(parts)
        except LeaderGone:
            return None
        if isinstance(first, Came | Landed):
            fold = FollowedFold(call.request.model)
            reply: Reply[Any, Any] = await Reply.begin(followed_batches(first, parts, fold, call, proceed), fold)
        else:
            await parts.aclose()
            if isinstance(first, Failed):
                return self._failed(first, call)
            value = first.value() if isinstance(first, Whole) else None
            if value is None:
                return await proceed(call)
            reply = Reply.whole(value, chunks_of if isinstance(value, Answer) else None)
        reply.cached, reply.attempts = True, 0
        return reply

    def _failed(self, failed: Failed, call: Call) -> None:
        """Raise the leader's error, unless only its own time was too short."""
        error = failed.error(call.id)
        deadline = None if failed.time_left is None else self._clock.now() + failed.time_left
        if not was_cut_short(error, deadline, call):
            raise error

    async def aclose(self) -> None:
        """End what goes on for other processes alone, and tell them: one of them takes it over."""
        streams, leads = list(self._streams), list(self._leads)
        for task in streams:
            task.cancel()
        for lead in leads:
            lead.end()
        tasks = [*streams, *(lead.task for lead in leads)]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSING_PATIENCE)
            for task in late:
                task.cancel()

    def forget(self) -> None:
        """Let go of it all: it belongs to an event loop that is gone."""
        self._leads, self._streams = set(), set()


def _name(call: Call, key: Hashable) -> str:
    """Name a flight so that no other tenant's has that name."""
    return call.caller.scoped("flight", blake2b(repr(key).encode(), digest_size=20).hexdigest())
