"""The flights under way, and what landed a moment ago."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from gatewright.layers.deduplication.flight import Flight
from gatewright.layers.deduplication.landed import Landed, weight_of
from gatewright.types.results import Embeddings

__all__ = ["Flights"]

LOOK_AFTER = 0.1
"""Seconds after which to look again for what landed before the window: one by one would cost every call more."""


class Flights:
    """Finds the flight that a request can join, or the answer with which one landed.

    `by_key` has both. An answer is given again for `window` seconds; at most `max_landed`, of `max_weight` bytes in
    all, are kept for that. A flight that failed is forgotten at once: the next request starts anew.
    """

    __slots__ = ("_landed", "_look_at", "_max_landed", "_max_weight", "_now", "by_key", "weight", "window")

    def __init__(
        self,
        now: Callable[[], float],
        window: float = 2.0,
        *,
        max_landed: int = 2_000,
        max_weight: int = 32 * 1024 * 1024,
    ) -> None:
        self.window = window
        self.weight = 0  # bytes, roughly, of what is kept
        self._now = now
        self._look_at = -math.inf
        self._max_landed = max_landed
        self._max_weight = max_weight
        self.by_key: dict[Hashable, Flight | Landed] = {}
        self._landed: deque[Landed] = deque()

    def __len__(self) -> int:
        return len(self.by_key)

    def __iter__(self) -> Iterator[Flight | Landed]:
        return iter(self.by_key.values())

    def find(self, key: Hashable) -> Flight | Landed | None:
        """Give what a request can share; where that is nothing, it has to `start` a flight."""
        found = self.by_key.get(key)
        if found is None:
            return None
        if type(found) is Landed:
            return found if found.until > self._now() else None
        assert isinstance(found, Flight)
        return found if found.is_whole else None

    def start(self, flight: Flight) -> None:
        """Have a flight found."""
        self.by_key[flight.key] = flight

    def forget(self, flight: Flight) -> None:
        """Have a flight found no more."""
        if self.by_key.get(flight.key) is flight:
            del self.by_key[flight.key]

    def land(
        self, flight: Flight, answer: Any, chunks: Sequence[Any] | None = None, *, keep: bool = True, age: float = 0.0
    ) -> Landed:
        """Take the answer with which a flight lands, and keep it for the window, unless it is not all there.

        `age` is the seconds of the window that have gone, of an answer that landed in another process.
        """
        now = self._now()
        key = flight.key
        parts = tuple(map(tuple, answer.vectors)) if type(answer) is Embeddings else tuple(answer.choices)
        weight = weight_of(answer, chunks)
        landed = Landed(now + self.window - age, key, flight.call.id, answer, parts, chunks, weight)
        if keep and self.window > age and self.by_key.get(key) is flight:
            self.by_key[key] = landed
            kept = self._landed
            kept.append(landed)
            self.weight = weight = self.weight + weight
            if now >= self._look_at or weight > self._max_weight or len(kept) > self._max_landed:
                self._make_room(now)
        else:
            self.forget(flight)
        return landed

    def _make_room(self, now: float) -> None:
        """Let go of what landed before the window, and of the oldest beyond the bounds: of several at a time."""
        kept, by_key = self._landed, self.by_key
        most = self._max_landed
        if len(kept) > most:
            most -= most // 32
        while kept and (kept[0].until <= now or len(kept) > most or self.weight > self._max_weight):
            oldest = kept.popleft()
            self.weight -= oldest.weight
            if by_key.get(oldest.key) is oldest:
                del by_key[oldest.key]
        self._look_at = now + LOOK_AFTER

    def expire(self) -> None:
        """Let go of what landed before the window."""
        self._make_room(self._now())
