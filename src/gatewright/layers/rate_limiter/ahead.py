"""What goes at a gate before a lane's calls: its tenant's earlier ones, and the turns that others have meanwhile."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import islice

from gatewright.layers.rate_limiter.contest import Share
from gatewright.layers.rate_limiter.lanes import Lane, Line, Ticket
from gatewright.layers.rate_limiter.row import Due

__all__ = ["Ahead"]

LOOKS = 64
"""Lanes that are looked at before a gate, at most: the others are taken to be like these."""
ROUNDS = 64
"""How often what a heavy tenant gets meanwhile is added to what it gets something beside, at most."""
ROUNDING = 1e-9


class _Other:
    """Another tenant's calls before the same gate: how many, their cost, and when the first is due.

    `sooner` is how many of them go before the lane's first one, `turns` how many for each that comes after it.
    """

    __slots__ = ("calls", "cost", "due", "first_cost", "share", "sooner", "turns")

    def __init__(self, share: Share, turns: float) -> None:
        self.share = share
        self.turns = turns
        self.calls = 0
        self.cost = self.first_cost = 0.0
        self.due: Due | None = None
        self.sooner = 0

    def add(self, lane: Lane, due: Due) -> None:
        self.calls += lane.length
        self.cost += lane.cost
        if self.due is None or due < self.due:
            self.due, self.first_cost = due, lane.tickets[0].cost


class Ahead:
    """Who is before a lane at one gate, as they stand now."""

    __slots__ = ("_like_these", "_others", "_siblings", "_urgent", "_urgent_cost", "line")

    def __init__(self, lane: Lane, line: Line) -> None:
        self.line = line
        self._siblings: list[Lane] = []
        self._urgent, self._urgent_cost = 0, 0.0
        share = lane.shares.get(line)
        others: dict[Share, _Other] = {}
        looked_at = [other for other in islice(line.lanes, LOOKS) if other is not lane]
        self._like_these = max(1.0, (len(line.lanes) - 1) / max(1, len(looked_at)))
        for other in looked_at:
            if other.rank < lane.rank:
                self._urgent += other.length
                self._urgent_cost += other.cost
            elif other.rank == lane.rank and (share is None or other.shares[line] is share):
                self._siblings.append(other)
            elif other.rank == lane.rank and share is not None and line in other.contends_at:
                theirs = other.shares[line]
                found = others.get(theirs) or others.setdefault(theirs, _Other(theirs, theirs.weight / share.weight))
                found.add(other, other.due_at(line))
        self._others = list(others.values())
        if self._others:
            _see_who_is_sooner(self._others, lane.due_at(line))

    def until(self, ticket: Ticket, calls: float, cost: float) -> tuple[float, float]:
        """Give how many calls go, and their cost, until one has gone that is with its lane's earlier ones so many."""
        for sibling in self._siblings:
            came, came_cost = _came_before(sibling, ticket.seq)
            calls, cost = calls + came, cost + came_cost
        others, others_cost = float(self._urgent), self._urgent_cost
        for other in self._others:
            turns = min(other.sooner + (calls - 1) * other.turns, other.calls)
            others += turns
            others_cost += turns * other.cost / other.calls
        return calls + others * self._like_these, cost + others_cost * self._like_these


def _came_before(lane: Lane, seq: int) -> tuple[float, float]:
    """Give how many of a lane's calls came before another call, and their cost; about, where it came amid them."""
    tickets = lane.tickets
    if tickets[-1].seq < seq:
        return lane.length, lane.cost
    part = bisect_left(tickets, seq, key=_seq) / len(tickets)
    return part * lane.length, part * lane.cost


def _seq(ticket: Ticket) -> int:
    return ticket.seq


def _see_who_is_sooner(others: list[_Other], mine: Due) -> None:
    """Say of each how many of its calls go before a lane's first one: its first, where that is due sooner.

    Of those of a larger weight also all whose time to begin comes until then.
    """
    sooner = [other for other in others if other.due is not None and other.due < mine]
    cost = 0.0
    for other in sooner:
        other.sooner = 1
        cost += other.first_cost
    heavier = [other for other in sooner if other.turns > 1.0]
    for _ in range(ROUNDS if heavier else 0):
        now = heavier[0].share.contest.virtual + cost / heavier[0].share.contest.weight
        more = 0.0
        for other in heavier:
            turns = _turns(other, now, mine)
            more += (turns - other.sooner) * other.cost / other.calls
            other.sooner = turns
        cost += more
        if not more:
            break


def _turns(other: _Other, now: float, before: Due) -> int:
    """Give how many of another's calls may begin by a virtual time, and are due before somebody."""
    assert other.due is not None
    share, each = other.share, other.cost / other.calls / other.share.weight
    begun = math.floor((now - share.tag) / each + ROUNDING)
    tie = ROUNDING if other.due[2:] < before[2:] else -ROUNDING
    due = math.floor((before[1] - other.due[1]) / each + tie)
    return 1 + max(0, min(begun, due, other.calls - 1))
