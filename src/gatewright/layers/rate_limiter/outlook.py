"""Where a waiting call stands, and how long it will take, as far as can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatewright.layers.rate_limiter.lanes import Gate, Lane, Line, Ticket

__all__ = ["expected_wait", "newcomers_wait", "outlook", "position", "wait_behind"]


def position(ticket: Ticket) -> int:
    """Give a call's place among its tenant's calls of the same gates: 1 is the next; 0 if it does not wait."""
    if not ticket.waiting:
        return 0
    lane = ticket.lane
    # Asked for every call that comes: the last one's place must not be counted out.
    return lane.length if lane.tickets[-1] is ticket else 1 + sum(1 for _ in lane.ahead_of(ticket))


def expected_wait(ticket: Ticket, now: float) -> float:
    """Estimate the seconds until a call goes, if everyone who waits stays and nobody more urgent comes."""
    if not ticket.waiting:
        return 0.0
    lane = ticket.lane
    if lane.tickets[-1] is ticket:
        return wait_behind(ticket, now)
    calls, cost = 1, ticket.cost
    for other in lane.ahead_of(ticket):
        calls += 1
        cost += other.cost
    return _wait(lane, calls, cost, ticket.cost, now)


def wait_behind(ticket: Ticket, now: float) -> float:
    """Estimate the seconds until a call would go that leaves now and comes back behind its tenant's others."""
    return _wait(ticket.lane, ticket.lane.length, ticket.lane.cost, ticket.cost, now)


def newcomers_wait(lines: Mapping[Gate, Line], gates: Sequence[Gate], cost: float, now: float) -> float:
    """Estimate the seconds until a call goes that comes after all who wait before these gates."""
    wait = 0.0
    for gate in gates:
        line = lines.get(gate)
        calls, costs = (line.calls, line.cost) if line is not None else (0, 0.0)
        wait = max(wait, gate.drain_time(calls + 1, costs + cost, now, cost))
    return wait


def outlook(lane: Lane, now: float) -> Iterator[tuple[Ticket, int, float]]:
    """Give each call that waits in a lane, its position and its expected wait."""
    calls, cost = 0, 0.0
    for ticket in lane.tickets:
        if ticket.waiting:
            calls += 1
            cost += ticket.cost
            yield ticket, calls, _wait(lane, calls, cost, ticket.cost, now)


def _wait(lane: Lane, calls: int, cost: float, last: float, now: float) -> float:
    """Estimate the seconds until the first `calls` calls of a lane have gone, each gate's other tenants beside them."""
    longest = 0.0
    for line in lane.lines:
        share = lane.shares.get(line)
        if share is None:
            sharers = line.lanes
        else:
            sharers = share.contest.weight / share.weight
            if sharers < 1.0:
                sharers = 1.0
        ahead = calls * sharers if calls * sharers < line.calls else line.calls
        ahead_cost = cost * sharers if cost * sharers < line.cost else line.cost
        wait = line.gate.drain_time(ahead, ahead_cost, now, last)
        if wait > longest:
            longest = wait
    return longest
