"""Answers that are past their time are fetched anew while they are still given."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.cache.asked import Asked
from gatewright.layers.cache.keeping import Keeper
from gatewright.pipeline.call import Call, new_id
from gatewright.pipeline.events import CallSettled, Events, RefreshStarted
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Outcome
from gatewright.pipeline.settling import keep_settling

__all__ = ["Refresher"]

log = logging.getLogger("gatewright.cache")


class Refresher:
    """Makes a call of its own for each answer, one at a time; it is told of as any other call, for it has its price."""

    def __init__(self, keeper: Keeper, clock: Clock, events: Events) -> None:
        self._keeper = keeper
        self._clock = clock
        self._events = events
        self._under_way: set[str] = set()

    def refresh(self, asked: Asked, proceed: Handler) -> None:
        """Have an answer fetched anew in the background, unless it is already."""
        if asked.key in self._under_way:
            return
        self._under_way.add(asked.key)
        call, now = asked.call, self._clock.now()
        deadline = None if call.deadline is None else now + call.deadline - call.started_at
        fresh = call.replace(id=new_id(), started_at=now, deadline=deadline, stream=False)
        keep_settling(self._fetch(msgspec.structs.replace(asked, call=fresh), proceed))

    def forget(self) -> None:
        """Let go of what is under way: its event loop is gone."""
        self._under_way.clear()

    async def _fetch(self, asked: Asked, proceed: Handler) -> None:
        call = asked.call
        self._events.emit(RefreshStarted(call_id=call.id, call=call))
        outcome: Outcome[Any] = Outcome("abandoned", None)
        try:
            reply = await proceed(call)
            async with reply:
                outcome = Outcome("completed", await reply.value())
            if not reply.cached:
                self._keeper.settled(asked, self._clock.now() - call.started_at, outcome)
        except GatewayError as error:
            outcome = Outcome("failed", None, error)
            log.info("an answer could not be fetched anew: %s", error.code)
        finally:
            self._under_way.discard(asked.key)
            self._tell(call, outcome)

    def _tell(self, call: Call, outcome: Outcome[Any]) -> None:
        seconds = self._clock.now() - call.started_at
        self._events.emit(CallSettled(call_id=call.id, call=call, outcome=outcome, seconds=seconds))
