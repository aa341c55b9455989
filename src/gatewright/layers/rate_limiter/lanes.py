"""What waits in the fair queue, and where: tickets in lanes, lanes in lines before gates."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Protocol

from gatewright.layers.rate_limiter.contest import Contest, Share
from gatewright.layers.rate_limiter.crowd import Crowd
from gatewright.layers.rate_limiter.row import Due, Entry, Order, Row

__all__ = ["Gate", "Lane", "Line", "Ticket"]


class Gate(Protocol):
    """What a call needs room at, such as a limit; told apart by identity.

    `shared` says whether other tenants pass it too, `max_waiting` how many calls may wait for it. `pinned` is counted
    up and down by whatever refers to it.
    """

    shared: bool
    max_waiting: int
    pinned: int

    def time_until(self, tokens: float, now: float) -> float:
        """Give the seconds until a call of so many tokens finds room, if nobody else takes it; infinity: who knows."""
        ...

    def drain_time(self, calls: float, tokens: float, now: float, last: float = 0.0) -> float:
        """Give the seconds in which it lets so many calls of so many tokens in all pass, `last` of them the last's."""
        ...


class Ticket:
    """One waiting call; `cost` is in estimated tokens, `seq` the order of arrival.

    `elsewhere` is which part of it waits at other gates: half of one that waits in two lanes, of which it goes in one.

    Whoever waits and has its ticket lets go of it at the end: what goes in circles is freed late, and all at once.
    """

    __slots__ = ("call", "cost", "elsewhere", "lane", "queued_at", "seq", "waiting")

    def __init__(self, call: Any, cost: float, lane: Lane, queued_at: float, seq: int, elsewhere: float) -> None:
        self.call = call
        self.cost = cost
        self.lane = lane
        self.queued_at = queued_at
        self.seq = seq
        self.elsewhere = elsewhere
        self.waiting = True

    def waited_for(self, gate: Gate) -> bool:
        """Whether it waits, or waited, before a gate."""
        return any(line.gate is gate for line in self.lane.lines)


class Line:
    """Everything that waits for one gate: how much it is, and the lanes parked there, the most urgent on top."""

    __slots__ = (
        "alarm",
        "calls",
        "contests",
        "cost",
        "crowd",
        "elsewhere",
        "gate",
        "holder",
        "lanes",
        "parked",
        "shared",
    )

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.shared = gate.shared
        self.lanes: dict[Lane, None] = {}
        self.calls = 0
        self.cost = 0.0
        self.elsewhere = 0.0
        self.crowd = Crowd() if gate.shared else None
        self.parked = Row(self)
        self.alarm = math.inf
        self.holder: Lane | None = None
        self.contests: dict[int, Contest] = {}


class Lane:
    """A tenant's calls of one class that pass the same gates, first come first served; it is in one heap at a time.

    `parked_at` is the line it waits in (None: ready), `came_from` the line that called it up. `met_shared` and
    `turned_away` tell that it waited at a shared gate, and then found its own closed.
    """

    __slots__ = (
        "came_from",
        "contends_at",
        "cost",
        "entry",
        "key",
        "length",
        "lines",
        "met_shared",
        "outermost",
        "parked_at",
        "rank",
        "shares",
        "tenant",
        "tickets",
        "turned_away",
    )

    def __init__(
        self, key: Hashable, rank: int, tenant: Hashable, lines: Sequence[Line], shares: dict[Line, Share]
    ) -> None:
        self.key = key
        self.rank = rank
        self.tenant = tenant
        self.lines = lines
        self.shares = shares
        self.outermost = next(iter(shares.values()), None)
        self.tickets: deque[Ticket] = deque()
        self.length = 0
        self.cost = 0.0
        self.entry: Entry | None = None
        self.parked_at: Line | None = None
        self.came_from: Line | None = None
        self.contends_at: dict[Line, Share] = {}
        self.met_shared = False
        self.turned_away = False

    def order_at(self, line: Line | None) -> Order:
        """How urgent it is in a line, the smaller the sooner; None is among those that are ready.

        In a tenant's own line whoever came first is first. Those that are ready are compared by their outermost
        shared gate, which is the first.
        """
        share = self.outermost if line is None else self.shares.get(line)
        first = self.tickets[0]
        if share is None:
            return (self.rank, False, 0.0, 0.0, first.seq)
        if share.contest.uneven:
            if share.tag > share.contest.virtual:
                return (self.rank, True, share.tag, share.since, first.seq)
            return (self.rank, False, share.due(first.cost), share.since, first.seq)
        return (self.rank, False, share.tag, share.since, first.seq)

    def due_at(self, line: Line) -> Due:
        """When it is due in a line, whether that is early or not."""
        first, share = self.tickets[0], self.shares.get(line)
        if share is None:
            return (self.rank, 0.0, 0.0, first.seq)
        return (self.rank, share.due(first.cost), share.since, first.seq)

    def ahead_of(self, ticket: Ticket) -> Iterator[Ticket]:
        """Give the calls that wait before this one."""
        before = takewhile(lambda other: other is not ticket, self.tickets)
        return (other for other in before if other.waiting)

    def contend_only_at(self, line: Line) -> None:
        """Claim a share at this line only, if it is one where there are shares."""
        share = self.shares.get(line)
        if share is None:
            self.contend_at({})
        else:
            self.contend_at(self.shares if len(self.shares) == 1 else {line: share})

    def contend_at(self, shares: dict[Line, Share]) -> None:
        """Say where it claims a share from now on."""
        before, self.contends_at = self.contends_at, shares
        if before is shares:
            return
        for line, share in shares.items():
            if line not in before:
                share.enter()
        for line, share in before.items():
            if line not in shares:
                share.leave()

    def add(self, ticket: Ticket) -> None:
        """Put a call in, at the end or, if it waited elsewhere meanwhile, where it belongs."""
        tickets = self.tickets
        if tickets and tickets[-1].seq > ticket.seq:
            tickets.insert(bisect_left(tickets, ticket.seq, key=lambda other: other.seq), ticket)
        else:
            tickets.append(ticket)
        self.length += 1
        self.cost += ticket.cost
        for line in self.lines:
            line.calls += 1
            line.cost += ticket.cost
            line.elsewhere += ticket.elsewhere
            if line.crowd is not None:
                line.crowd.add(self.tenant)

    def discount(self, ticket: Ticket) -> None:
        """Count one waiting call less."""
        self.length -= 1
        self.cost -= ticket.cost
        for line in self.lines:
            line.calls -= 1
            line.cost -= ticket.cost
            line.elsewhere -= ticket.elsewhere
            if line.crowd is not None:
                line.crowd.remove(self.tenant)

    def drop_cancelled(self) -> None:
        """Keep a waiting call in front and at the back, and the cancelled ones fewer than twice the waiting."""
        tickets = self.tickets
        while tickets and not tickets[0].waiting:
            tickets.popleft()
        while tickets and not tickets[-1].waiting:
            tickets.pop()
        if len(tickets) > 3 * self.length + 8:
            self.tickets = deque(ticket for ticket in tickets if ticket.waiting)
