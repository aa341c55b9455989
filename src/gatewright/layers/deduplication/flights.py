"""The flights under way, and those that landed a moment ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator

from gatewright.layers.deduplication.flight import Departure, Flight, Member

__all__ = ["Flights"]


class Flights:
    """Finds the flight that a request can join, or starts one.

    A landed flight can be joined for `window` seconds more; at most `max_landed`, with `max_landed_chunks` chunks
    in all, are kept for that. A failed one is forgotten at once: the next request starts anew.
    """

    __slots__ = ("_by_key", "_landed", "_landed_chunks", "_max_chunks", "_max_landed", "_max_landed_chunks", "window")

    def __init__(
        self,
        window: float = 2.0,
        *,
        max_landed: int = 2_000,
        max_landed_chunks: int = 200_000,
        max_chunks: int = 20_000,
    ) -> None:
        self.window = window
        self._max_landed = max_landed
        self._max_landed_chunks = max_landed_chunks
        self._max_chunks = max_chunks
        self._by_key: dict[Hashable, Flight] = {}
        self._landed: deque[tuple[float, Hashable, Flight, int]] = deque()
        self._landed_chunks = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._by_key.values())

    @property
    def landed_chunks(self) -> int:
        """The chunks kept of landed flights."""
        return self._landed_chunks

    def join(self, key: Hashable, now: float) -> tuple[Flight, Member]:
        """Come aboard the flight of this request; the member that is not `shared` has to make the upstream call."""
        if self._landed and self._landed[0][0] <= now:
            self.expire(now)
        flight = self._by_key.get(key)
        if flight is None or not flight.is_whole:
            flight = self._by_key[key] = Flight(self._max_chunks)
            return flight, flight.lead()
        return flight, flight.join()

    def leave(self, key: Hashable, flight: Flight, member: Member) -> Departure:
        """Let a member go; a flight that nobody is aboard any more is forgotten, unless it landed."""
        outcome = flight.leave(member)
        if outcome == "nobody_left" and flight.state == "flying":
            self._forget(key, flight)
        return outcome

    def land(self, key: Hashable, flight: Flight, now: float) -> None:
        """Say that a flight's answer is complete, and keep it for the window."""
        if flight.state != "flying":
            return
        chunks = flight.land()
        if chunks is None or self.window <= 0.0 or self._by_key.get(key) is not flight:
            self._forget(key, flight)
            return
        self._landed.append((now + self.window, key, flight, chunks))
        self._landed_chunks += chunks
        while len(self._landed) > self._max_landed or self._landed_chunks > self._max_landed_chunks:
            self._forget_oldest()

    def fail(self, key: Hashable, flight: Flight, error: BaseException) -> None:
        """Say that a flight failed; whoever is aboard gets the error, whoever comes next does not."""
        flight.fail(error)
        if flight.state == "failed":
            self._forget(key, flight)

    def expire(self, now: float) -> None:
        """Forget what landed before the window."""
        while self._landed and self._landed[0][0] <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, key, flight, chunks = self._landed.popleft()
        self._landed_chunks -= chunks
        self._forget(key, flight)

    def _forget(self, key: Hashable, flight: Flight) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]
