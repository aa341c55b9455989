"""The time that a report is about, and the rollups that it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from gatewright.errors import BadRequest
from gatewright.llmops.config import RecordsConfig
from gatewright.storage.sql.rollups import GRAINS
from gatewright.storage.sql.summing import Span

__all__ = ["Window", "step_of", "window_of"]

MINUTE, HOUR, DAY = GRAINS.values()
_UP_TO = {"minute": 3 * HOUR, "hour": 3 * DAY}  # the windows that are shown in pieces of this length


class Window(NamedTuple):
    """From a second since 1970, at which a piece of its `edge` begins, to now."""

    start: int
    end: int
    edge: str

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start

    def spans(self, coarsest: str = "day") -> list[Span]:
        """Give the rollups that cover it, as few as can be: fine ones up to where a coarser one begins."""
        return [span for span in self._spans(coarsest) if span.start < span.end]

    def _spans(self, coarsest: str) -> Iterator[Span]:
        grains = list(GRAINS)
        grains = grains[grains.index(self.edge) : grains.index(coarsest) + 1] or [self.edge]
        start, beyond = self.start, self.end + DAY
        for grain, coarser in zip(grains, [*grains[1:], None], strict=True):
            # What began just now is in the piece that now belongs to, of whatever length.
            end = beyond if coarser is None else min(beyond, _ceiling(start, GRAINS[coarser]))
            yield Span(grain, start, end)
            start = end


def window_of(hours: object, now: float, config: RecordsConfig) -> Window:
    """Give the last so many hours, from the beginning of the piece that they begin in.

    That is a minute, or where minutes are not kept for so long an hour, or a day. `BadRequest` says what is no time.
    """
    if isinstance(hours, bool) or not isinstance(hours, int | float):
        raise BadRequest(f"time_range_hours: expected a number of hours, got {hours!r}", param="time_range_hours")
    if not hours > 0 or math.isinf(hours):
        raise BadRequest(f"time_range_hours: expected a number above zero, got {hours}", param="time_range_hours")
    start = max(0.0, now - hours * HOUR)
    edge = next((grain for grain, days in _kept(config) if days is None or start >= now - days * DAY), "day")
    return Window(int(start) // GRAINS[edge] * GRAINS[edge], int(now) + 1, edge)


def step_of(step: str | None, window: Window) -> str:
    """Give the length of a chart's pieces: the one asked for, or one that makes a chart that can be read."""
    if step is None:
        step = next((grain for grain, most in _UP_TO.items() if window.seconds <= most), "day")
        return max(step, window.edge, key=list(GRAINS).index)
    if step not in GRAINS:
        raise BadRequest(f"step: expected minute, hour or day, got {step!r}", param="step")
    if GRAINS[step] < GRAINS[window.edge]:
        raise BadRequest(
            f"step: {step}s are not kept for so long a time; ask for {window.edge}s, or set records.keep_{step}s",
            param="step",
        )
    return step


def _kept(config: RecordsConfig) -> tuple[tuple[str, int | None], ...]:
    """Give for how many days each grain leads on to the next: what is made of minutes goes on in hours."""
    limits = [days for days in (config.keep_minutes, config.keep_hours) if days is not None]
    return (("minute", min(limits, default=None)), ("hour", config.keep_hours))


def _ceiling(second: int, unit: int) -> int:
    return -(-second // unit) * unit
