"""A weighted fair queue of calls that wait for room at several gates each.

The order is worst-case fair (Bennett and Zhang, "WF2Q: Worst-case Fair Weighted Fair Queueing", INFOCOM 1996), at each
gate that tenants share: a tenant's next call may begin at the virtual time at which its last one would have ended, had
the tenant been served at its weight's share, `tag += cost / weight`; a tenant that was away starts at the present
virtual time. Of those that may begin by now whoever is due first goes first; where nobody may, whoever may soonest. So
nobody is ahead of its share, or behind it, by more than one call. When a call is due is counted so that tenants of one
weight go in the order in which they may begin (start-time fair queueing: Goyal, Vin and Cheng, SIGCOMM 1996), and the
one who comes to a busy gate, whatever its call's size, next. The virtual time moves on by every call's cost over the
weights that contend, so that ever new tenants cannot hold it, and those before them, in place. Each gate has a virtual
time of its own: what a tenant has of a free model is not held against it at a busy one. Before a tenant's own gate, who
came first is first. Priorities are strict: a class waits until none above it can go.

A waiting call passes *all* of its gates at once or none. One whose gate is closed is parked there and costs nothing
until the gate calls: when a release or a refill gives it room (`wake`, or the time that was foretold), the most
urgent lane parked there is tried, and when it goes, the next. Nobody less urgent passes a gate at which someone is
parked, so small calls never starve a big one; but somebody held up by the tenant's *own* limit is parked at that
one and is in nobody else's way. A lane that waited for a shared gate, then found its own closed in the meantime,
keeps its own gate closed to the tenant's other lanes the next time, so that it cannot be sent to and fro for ever.
(Between shared gates this cannot happen as long as they are nested and named from the outside in, as the global
limit comes before a model's.)

Enqueueing, dequeueing and cancelling are O(log n); cancelled calls are dropped lazily, and soon.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

from gatewright.errors import RateLimited
from gatewright.layers.rate_limiter.crowd import Crowd
from gatewright.layers.rate_limiter.lanes import Gate, Lane, Line, Ticket
from gatewright.layers.rate_limiter.openings import Openings
from gatewright.layers.rate_limiter.outlook import expected_wait, newcomers_wait, position
from gatewright.layers.rate_limiter.parking import Parking
from gatewright.layers.rate_limiter.roster import Roster

__all__ = ["Admit", "FairQueue", "Gate", "Ticket"]

Admit = Callable[[Ticket], tuple[Gate, float] | None]
"""Lets a call go (None: its room is taken now), or names the gate that is closed and the seconds it will be."""


class FairQueue:
    """Calls that wait; `admit` of `next` decides whether one can go, the queue decides who is asked.

    `foretold` says that the gates themselves know when they open, so that nobody is asked in vain before that.
    """

    def __init__(self, max_size: int = 100_000, *, foretold: bool = True) -> None:
        self.max_size = max_size
        self._foretold = foretold
        self._size = 0
        self._crowd = Crowd()
        self._numbers = count()
        self._roster = Roster()
        self._lines = self._roster.lines
        self._parking = Parking(self._numbers)
        self._openings = Openings(self._lines)
        self._dead = 0

    def __len__(self) -> int:
        return self._size

    @property
    def remembered_shares(self) -> int:
        """How many tenants it has a virtual time for, at each gate, waiting or not."""
        return self._roster.shares

    @property
    def next_alarm(self) -> float | None:
        """The time at which a closed gate is foretold to open; None where only `wake` can tell."""
        return self._openings.next

    def enqueue(
        self,
        call: Any,
        *,
        tenant: Hashable,
        gates: tuple[Gate, ...],
        cost: float,
        now: float,
        weight: float = 1.0,
        priority: int = 0,
        elsewhere: float = 0.0,
        although_full: bool = False,
        since: Ticket | None = None,
    ) -> Ticket:
        """Let a call wait; `RateLimited` if the queue, or a gate's part of it, is full.

        It is not refused `although_full` where others leave for it. One that waited before other gates has its place
        in line `since` then, by its ticket of that time, and at those gates that are the same.
        """
        if since is not None:
            self._refuse_if_full([gate for gate in gates if not since.waited_for(gate)], 0, cost, now)
        elif not although_full:
            self._refuse_if_full(gates, self._size, cost, now)
        lane = self._roster.lane(priority, tenant, weight, gates)
        number = next(self._numbers) if since is None else since.seq
        ticket = Ticket(call, cost if cost > 1.0 else 1.0, lane, now, number, elsewhere)
        lane.add(ticket)
        self._size += 1
        self._crowd.add(tenant)
        if lane.length == 1:
            self._parking.make_ready(lane, None)
        elif since is not None and lane.tickets[0] is ticket:
            self._step_up(lane)
        self._call_up_where_reordered(lane, now)
        return ticket

    def next(self, now: float, admit: Admit) -> Ticket | None:
        """Let the next call go and give its ticket; None when no more can go now. Ask until it is None."""
        parking = self._parking
        while (line := self._openings.take_due(now)) is not None:
            parking.call_up(line)
        while (lane := parking.take_ready()) is not None:
            barred_at = parking.barred_at(lane)
            if barred_at is not None:
                parking.give_way(lane, barred_at)
                continue
            ticket = lane.tickets[0]
            try:
                closed = admit(ticket)
            except BaseException:
                parking.make_ready(lane, lane.came_from)
                raise
            if closed is None:
                self._let_go(ticket, now)
                return ticket
            line = self._lines[closed[0]]
            self._openings.foretell(line, now + closed[1])
            parking.park(lane, line)
        return None

    def is_free(self, gates: Sequence[Gate]) -> bool:
        """Whether nobody waits before any of these gates, so that a call may try them without overtaking anyone."""
        for gate in gates:
            line = self._lines.get(gate)
            if line is not None and (line.holder is not None or line.parked.length):
                return False
        return True

    def wake(self, gate: Gate) -> None:
        """Say that a gate may have room now: a call released it, or its limit changed."""
        line = self._lines.get(gate)
        if line is not None:
            self._parking.call_up(line)

    def cancel(self, ticket: Ticket) -> bool:
        """Take a call out; False if it does not wait any more."""
        if not ticket.waiting:
            return False
        lane = ticket.lane
        was_next = lane.tickets[0] is ticket
        self._take_out(ticket)
        if lane.length:
            lane.drop_cancelled()
            if was_next:
                # What it kept closed was for that call: whoever is before the next one is not held up by it.
                self._parking.release_held(lane)
                self._step_up(lane)
        else:
            self._parking.leave(lane)
            self._close(lane)
            for line in lane.lines:
                self._parking.call_up(line)
        return True

    def displaced_by(self, tenant: Hashable, gates: Sequence[Gate]) -> list[Ticket]:
        """Give the calls that have to leave a full queue for one of `tenant`: the newest of whoever has most."""
        full: list[tuple[Crowd | None, int, Line | None]] = []
        for gate in gates:
            line = self._lines.get(gate)
            if line is None and gate.max_waiting == 0:
                return []
            if line is not None and line.calls >= gate.max_waiting:
                full.append((line.crowd, line.calls, line))
        if self._size >= self.max_size:
            full.append((self._crowd, self._size, None))
        if not full:
            return []
        displaced: list[Ticket] = []
        for crowd, room, line in full:
            if crowd is None or not crowd.gives_way(tenant, room):
                return []
            # One that leaves makes room before all of its gates.
            if not any(line is None or line in ticket.lane.lines for ticket in displaced):
                displaced.append(self._roster.newest(crowd.heaviest(), line))
        return displaced

    @property
    def has_ready(self) -> bool:
        """Whether there is somebody for `next` to try: one who came, or was called up."""
        return self._parking.ready.length > 0

    def waiting_for(self, gate: Gate) -> int:
        """Give how many calls wait for a gate, here or further on."""
        line = self._lines.get(gate)
        return 0 if line is None else line.calls

    def position(self, ticket: Ticket) -> int:
        """Give a call's place among its tenant's calls of the same gates: 1 is the next; 0 if it does not wait."""
        return position(ticket)

    def expected_wait(self, ticket: Ticket, now: float) -> float:
        """Estimate the seconds until a call goes, if everyone who waits stays and nobody more urgent comes."""
        return expected_wait(ticket, now)

    def newcomers_wait(self, gates: Sequence[Gate], cost: float, now: float) -> float:
        """Estimate the seconds until a call goes that comes after all who wait before these gates."""
        return newcomers_wait(self._lines, gates, cost, now)

    def _refuse_if_full(self, gates: Sequence[Gate], size: int, cost: float, now: float) -> None:
        for gate in gates:
            line = self._lines.get(gate)
            waiting = line.calls if line is not None else 0
            if waiting >= gate.max_waiting:
                wait = self.newcomers_wait((gate,), cost, now)
                raise RateLimited(f"the queue of {gate} is full: {waiting} calls wait", retry_after=wait)
        if size >= self.max_size:
            wait = self.newcomers_wait(gates, cost, now)
            raise RateLimited(f"the queue is full: {size} calls wait", retry_after=wait)

    def _close(self, lane: Lane) -> None:
        self._parking.release_held(lane)
        self._roster.close(lane)
        self._count_dead_entry()

    def _step_up(self, lane: Lane) -> None:
        self._parking.step_up(lane)
        self._count_dead_entry()

    def _count_dead_entry(self) -> None:
        self._dead += 1
        if self._dead > 2 * len(self._roster) + 64:
            self._compact()

    def _compact(self) -> None:
        self._dead = 0
        self._parking.ready.compact()
        for line in self._lines.values():
            line.parked.compact()

    def _call_up_next(self, line: Line, now: float) -> None:
        """Do the same after one has gone, unless the gate is closed to the next for now."""
        top = line.parked.top() if line.parked.length else None
        if top is None:
            return
        closed_for = line.gate.time_until(top[2].tickets[0].cost, now) if self._foretold else 0.0
        if closed_for > 0.0:
            self._openings.foretell(line, now + closed_for)
        else:
            self._parking.call_up(line)

    def _call_up_where_reordered(self, lane: Lane, now: float) -> None:
        """Do the same at the gates where somebody else may be the next since a lane of another weight came."""
        for line, share in lane.shares.items():
            if share.contest.reordered:
                share.contest.reordered = False
                self._call_up_next(line, now)

    def _let_go(self, ticket: Ticket, now: float) -> None:
        lane = ticket.lane
        came_from = lane.came_from
        for share in lane.shares.values():
            share.charge(ticket.cost)
        self._take_out(ticket)
        lane.tickets.popleft()
        if not lane.length:
            self._close(lane)
        else:
            lane.drop_cancelled()
            self._parking.release_held(lane)
            if came_from is None:
                self._parking.make_ready(lane, None)
            else:
                # Back in line: whoever is due next there is tried next.
                self._parking.stand(lane, came_from)
        if came_from is not None:
            self._call_up_next(came_from, now)
        for line, share in lane.shares.items():
            # The virtual time moved on: somebody who was early may be the next now, and fit.
            if line is not came_from and share.contest.uneven:
                self._call_up_next(line, now)

    def _take_out(self, ticket: Ticket) -> None:
        ticket.waiting = False
        lane = ticket.lane
        lane.discount(ticket)
        self._size -= 1
        self._crowd.remove(lane.tenant)
