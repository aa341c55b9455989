"""Who waits: the lanes, lines and shares of a fair queue, made on need and forgotten after use."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from heapq import heappop, heappush
from itertools import count

from gatewright.layers.rate_limiter.contest import Contest, Share
from gatewright.layers.rate_limiter.lanes import Gate, Lane, Line, Ticket

__all__ = ["Roster"]


class Roster:
    """Finds the lane of a call and the line of a gate."""

    __slots__ = ("_lanes", "_numbers", "lines")

    def __init__(self) -> None:
        self.lines: dict[Gate, Line] = {}
        self._lanes: dict[Hashable, Lane] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def shares(self) -> int:
        """How many shares it remembers, of tenants that wait or did lately."""
        return sum(len(contest.shares) for line in self.lines.values() for contest in line.contests.values())

    def lane(self, priority: int, tenant: Hashable, weight: float, gates: tuple[Gate, ...]) -> Lane:
        """Give the lane of these calls, a new one if nobody waits in it; the newest `weight` holds."""
        key = (priority, tenant, gates)
        lane = self._lanes.get(key) or self._open(key, -priority, tenant, gates, weight)
        for share in lane.shares.values():
            if share.weight != weight:
                share.weigh(weight)
        return lane

    def newest(self, tenant: Hashable, line: Line | None) -> Ticket:
        """Give the last of a tenant's calls that wait for a gate, or at all; of the lowest priority that it has."""
        lanes = self._lanes.values() if line is None else line.lanes
        theirs = (lane for lane in lanes if lane.tenant == tenant)
        return max(theirs, key=lambda lane: (lane.rank, lane.tickets[-1].seq)).tickets[-1]

    def close(self, lane: Lane) -> None:
        """Forget a lane in which nobody waits any more, and whatever is of no use without it."""
        del self._lanes[lane.key]
        lane.tickets.clear()
        lane.contend_at({})
        for share in lane.shares.values():
            share.lanes -= 1
            self._forget_shares(share)
        for line in lane.lines:
            del line.lanes[lane]
            if not line.lanes:
                del self.lines[line.gate]
                line.gate.pinned -= 1
                line.alarm = math.inf
                line.parked.forget()
                for contest in line.contests.values():
                    contest.forget()

    def _open(self, key: Hashable, rank: int, tenant: Hashable, gates: Sequence[Gate], weight: float) -> Lane:
        lines = [self._line(gate) for gate in gates]
        shares = {line: self._share(line, rank, tenant, weight) for line in lines if line.shared}
        lane = self._lanes[key] = Lane(key, rank, tenant, lines, shares)
        for line in lines:
            line.lanes[lane] = None
        return lane

    def _line(self, gate: Gate) -> Line:
        line = self.lines.get(gate)
        if line is None:
            line = self.lines[gate] = Line(gate)
            gate.pinned += 1
        return line

    def _share(self, line: Line, rank: int, tenant: Hashable, weight: float) -> Share:
        contest = line.contests.get(rank)
        if contest is None:
            contest = line.contests[rank] = Contest()
        share = contest.shares.get(tenant)
        if share is None:
            share = contest.shares[tenant] = Share(contest, tenant, weight)
        share.lanes += 1
        return share

    def _forget_shares(self, closed: Share) -> None:
        """Forget those who are gone, as soon as the virtual time has passed what they had."""
        contest = closed.contest
        idle = contest.idle
        if not closed.lanes and not closed.listed_idle:
            closed.listed_idle = True
            heappush(idle, (closed.tag, next(self._numbers), closed))
        while idle and idle[0][0] <= contest.begins:
            share = heappop(idle)[2]
            share.listed_idle = not share.lanes and share.tag > contest.begins
            if share.listed_idle:
                heappush(idle, (share.tag, next(self._numbers), share))
            elif not share.lanes:
                del contest.shares[share.tenant]
