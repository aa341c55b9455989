"""Flights without a loop: what the pure core does with those who come and go."""

from __future__ import annotations

from typing import Any

from gatewright.layers.deduplication.flight import Member
from gatewright.layers.deduplication.flights import Flights
from gatewright.layers.deduplication.landed import Landed
from gatewright.layers.deduplication.stream import StreamFlight
from gatewright.pipeline.call import Call
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer

CALL = Call(request=GenerateRequest(model="m"), id="req_1", started_at=0.0)
ANSWER = Answer(choices=[], model="m", provider="p", cost_usd=0.5)


class Board:
    """Flights with a clock that is set by hand."""

    def __init__(self, window: float = 2.0, max_chunks: int = 20_000, **bounds: Any) -> None:
        self.now = 0.0
        self.max_chunks = max_chunks
        self.flights = Flights(lambda: self.now, window, **bounds)

    def join(self, key: bytes) -> tuple[Any, Member]:
        """Come aboard the flight of a key, or start it; of an answer that landed, give that."""
        found = self.flights.find(key)
        if isinstance(found, Landed):
            return found, Member()
        if found is not None:
            return found, found.join()
        leader = Member(shared=False)
        flight = StreamFlight(key=key, call=CALL, flights=self.flights, leader=leader, max_chunks=self.max_chunks)
        self.flights.start(flight)
        return flight, leader
