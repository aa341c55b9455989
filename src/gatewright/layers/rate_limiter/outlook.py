"""Where a waiting call stands, and how long it will take, as far as can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatewright.layers.rate_limiter.ahead import Ahead
from gatewright.layers.rate_limiter.lanes import Gate, Lane, Line, Ticket

__all__ = ["expected_wait", "is_certain_by", "newcomers_wait", "outlook", "position", "wait_behind"]


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
        calls, cost = lane.length, lane.cost
    else:
        calls, cost = 1, ticket.cost
        for other in lane.ahead_of(ticket):
            calls += 1
            cost += other.cost
    return _wait([Ahead(lane, line) for line in lane.lines], ticket, calls, cost, now)


def is_certain_by(ticket: Ticket, seconds: float, now: float) -> bool:
    """Say whether a call goes within so many seconds even if all others go before it: quickly, for most do."""
    for line in ticket.lane.lines:  # noqa: SIM110 - each call that comes is asked for
        if line.gate.drain_time(line.calls, line.cost, now, ticket.cost) > seconds:
            return False
    return True


def wait_behind(ticket: Ticket, now: float) -> float:
    """Estimate the seconds until a call would go that leaves now and comes back behind its tenant's others.

    When that will be, the others' turns are not known: each of its tenant's calls is taken to have to wait for one.
    At the tenant's own gate it is behind all.
    """
    lane, longest = ticket.lane, 0.0
    for line in lane.lines:
        calls, cost, share = float(line.calls), line.cost, lane.shares.get(line)
        if share is not None:
            sharers = max(1.0, share.contest.weight / share.weight)
            calls, cost = min(lane.length * sharers, calls), min(lane.cost * sharers, cost)
        longest = max(longest, line.gate.drain_time(calls, cost, now, ticket.cost))
    return longest


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
    before = [Ahead(lane, line) for line in lane.lines]
    calls, cost = 0, 0.0
    for ticket in lane.tickets:
        if ticket.waiting:
            calls += 1
            cost += ticket.cost
            yield ticket, calls, _wait(before, ticket, calls, cost, now)


def _wait(before: Sequence[Ahead], ticket: Ticket, calls: int, cost: float, now: float) -> float:
    """Estimate the seconds until a call has gone that is with those before it in its lane so many, of so much cost."""
    longest = 0.0
    for ahead in before:
        line = ahead.line
        all_calls, all_cost = ahead.until(ticket, calls, cost)
        if line.elsewhere:
            # Of those who wait at several gates each goes at one.
            here = 1.0 - line.elsewhere / line.calls
            all_calls, all_cost = max(1.0, all_calls * here), max(ticket.cost, all_cost * here)
        wait = line.gate.drain_time(all_calls, all_cost, now, ticket.cost)
        if wait > longest:
            longest = wait
    return longest
