"""Who may be tried now, and who is parked before a gate that is closed."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.layers.rate_limiter.lanes import Lane, Line
from gatewright.layers.rate_limiter.row import Row

__all__ = ["Parking"]


class Parking:
    """Every lane with calls in it is in one place: among those that are `ready`, or parked in one of its lines.

    `numbers` tells apart who is as urgent as another: who came first is first.
    """

    __slots__ = ("_numbers", "ready")

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self.ready = Row(None)

    def make_ready(self, lane: Lane, came_from: Line | None) -> None:
        """Have a lane tried at its turn; it may come from a line in which it was parked."""
        lane.parked_at = None
        lane.came_from = came_from
        lane.contend_at(lane.shares)
        self.ready.add(lane, next(self._numbers))

    def take_ready(self) -> Lane | None:
        """Take out who is to be tried next."""
        return self.ready.take()

    def barred_at(self, lane: Lane) -> Line | None:
        """Give the line in which somebody more urgent waits, or one that somebody of the same tenant holds."""
        for line in lane.lines:
            if line.parked.length and (top := line.parked.top()) is not None and top[0] < lane.order_at(line):
                return line
            holder = line.holder
            if holder is not None and holder is not lane and holder.order_at(line) < lane.order_at(line):
                return line
        return None

    def park(self, lane: Lane, line: Line) -> None:
        """Park a lane that found a gate closed, and have the next one tried of the line from which it came."""
        came_from = lane.came_from
        self.stand(lane, line)
        if line.shared:
            lane.met_shared = True
            if lane.turned_away:
                _hold(lane)
        else:
            lane.turned_away = lane.turned_away or lane.met_shared
        if came_from is not None and came_from is not line:
            self.call_up(came_from)

    def give_way(self, lane: Lane, line: Line) -> None:
        """Park a lane behind somebody more urgent, who is tried in its place where it was called up there."""
        called_up = lane.came_from is line
        self.park(lane, line)
        # It may be urgent since just now: its first call has left, or the virtual time has come to it.
        if called_up and (top := line.parked.top()) is not None and top[2] is not lane:
            self.call_up(line)

    def stand(self, lane: Lane, line: Line) -> None:
        """Put a lane in line."""
        lane.came_from = None
        lane.parked_at = line
        lane.contend_only_at(line)
        line.parked.add(lane, next(self._numbers))

    def leave(self, lane: Lane) -> None:
        """Take a lane out of where it is."""
        self._row(lane).remove(lane)

    def step_up(self, lane: Lane) -> None:
        """Put a lane where it belongs since another call is its first; at a gate it is tried, for it may fit now."""
        row = self._row(lane)
        row.remove(lane)
        row.add(lane, next(self._numbers))
        if lane.parked_at is not None:
            self.call_up(lane.parked_at)

    def call_up(self, line: Line) -> None:
        """Let the most urgent lane of a line try again."""
        if line.parked.length and (lane := line.parked.take()) is not None:
            self.make_ready(lane, line)

    def release_held(self, lane: Lane) -> None:
        """Open the tenant's own gates again that a lane kept closed to its other lanes."""
        lane.met_shared = lane.turned_away = False
        for line in lane.lines:
            if line.holder is lane:
                line.holder = None
                self.call_up(line)

    def _row(self, lane: Lane) -> Row:
        return self.ready if lane.parked_at is None else lane.parked_at.parked


def _hold(lane: Lane) -> None:
    for line in lane.lines:
        if not line.shared and line.holder is None:
            line.holder = lane
