"""Where a waiting call stands, and how long it will take, as far as can be told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from gatewright.layers.rate_limiter.lanes import Contest, Gate, Lane, Line, Share, Ticket
from gatewright.layers.rate_limiter.row import Due, Row

__all__ = ["expected_wait", "is_certain_by", "newcomers_wait", "outlook", "position", "wait_behind"]

LOOKS = 32
"""Lanes that are looked at before a gate, at most: whoever may come too late looks as it comes."""
ROUNDS = 64
"""How often what a heavy tenant gets meanwhile is added to what it gets something beside, at most."""
ROUNDING = 1e-9


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
        return _wait(lane, lane.length, lane.cost, ticket.cost, now)
    calls, cost = 1, ticket.cost
    for other in lane.ahead_of(ticket):
        calls += 1
        cost += other.cost
    return _wait(lane, calls, cost, ticket.cost, now)


def is_certain_by(ticket: Ticket, seconds: float, now: float) -> bool:
    """Say whether a call goes within so many seconds even if all others go before it: quickly, for most do."""
    for line in ticket.lane.lines:  # noqa: SIM110 - each call that comes is asked for
        if line.gate.drain_time(line.calls, line.cost, now, ticket.cost) > seconds:
            return False
    return True


def wait_behind(ticket: Ticket, now: float) -> float:
    """Estimate the seconds until a call would go that leaves now and comes back behind its tenant's others.

    When that will be, the others' turns are not known: each of its tenant's calls is taken to have to wait for one.
    """
    lane, longest = ticket.lane, 0.0
    for line in lane.lines:
        sharers = _sharers(lane, line)
        calls, cost = min(lane.length * sharers, line.calls), min(lane.cost * sharers, line.cost)
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
    calls, cost = 0, 0.0
    for ticket in lane.tickets:
        if ticket.waiting:
            calls += 1
            cost += ticket.cost
            yield ticket, calls, _wait(lane, calls, cost, ticket.cost, now)


def _wait(lane: Lane, calls: int, cost: float, last: float, now: float) -> float:
    """Estimate the seconds until the first `calls` calls of a lane have gone, each gate's other tenants beside them.

    Before its first go those that are due sooner; between two of its calls each tenant has its share.
    """
    longest = 0.0
    for line in lane.lines:
        others, others_cost = _due_sooner(lane, line)
        beside = _sharers(lane, line) - 1.0
        others += (calls - 1) * beside
        others_cost += (cost - last) * beside
        # There are no more of them than wait.
        others = min(others, line.calls - lane.length)
        others_cost = min(others_cost, line.cost - lane.cost)
        wait = line.gate.drain_time(calls + others, cost + others_cost, now, last)
        if wait > longest:
            longest = wait
    return longest


def _sharers(lane: Lane, line: Line) -> float:
    """Give how many calls go at a gate for each of a lane's."""
    share = lane.shares.get(line)
    return line.lanes if share is None else max(1.0, share.contest.weight / share.weight)


def _due_sooner(lane: Lane, line: Line) -> tuple[float, float]:
    """Give the calls, and their cost, that go before a lane's first one: of each lane that is due sooner the first.

    Of more urgent lanes it is all, and of those of a larger weight as many as have their turn until then. Where there
    are many it does not look at all of them: it is more, then.
    """
    mine, share = lane.due_at(line), lane.shares.get(line)
    calls = cost = 0.0
    heavier: list[Lane] = []
    for other in _first(line.parked, mine):
        if other is lane or (due := other.due_at(line)) >= mine:
            continue
        if due[0] < mine[0]:
            calls += other.length
            cost += other.cost
        elif share is not None and other.shares[line].weight > share.weight:
            heavier.append(other)
        else:
            calls += 1
            cost += other.tickets[0].cost
    if heavier and share is not None:
        turns, turns_cost = _turns(heavier, line, share.contest, cost, mine)
        calls, cost = calls + turns, cost + turns_cost
    return calls, cost


def _first(row: Row, before: Due) -> Iterator[Lane]:
    """Give those in a row who may be due before somebody, from the most urgent on; not all where there are many."""
    looks = LOOKS
    for heap in (row.due, row.early):
        places = [0]
        while places and looks:
            place = places.pop()
            if place >= len(heap):
                continue
            (rank, _, time, since, seq), _, lane = heap[place]
            if (rank, time, since, seq) >= before:
                continue  # and so is all that is below it
            looks -= 1
            places += (2 * place + 1, 2 * place + 2)
            if lane.entry is heap[place]:
                yield lane


def _turns(lanes: list[Lane], line: Line, contest: Contest, beside: float, before: Due) -> tuple[int, float]:
    """Give how many calls of these lanes, and their cost, go beside others of a cost: the first of each, and all whose
    time to begin comes until then; none that is not due `before` another."""
    turns, cost = len(lanes), sum(lane.cost / lane.length for lane in lanes)
    for _ in range(ROUNDS):
        now = contest.virtual + (beside + cost) / contest.weight
        each = [_turns_of(lane, lane.shares[line], now, before) for lane in lanes]
        last, turns = turns, sum(each)
        cost = sum(turn * lane.cost / lane.length for turn, lane in zip(each, lanes, strict=True))
        if turns == last:
            break
    return turns, cost


def _turns_of(lane: Lane, share: Share, now: float, before: Due) -> int:
    """Give how many of a lane's calls may begin by a virtual time, and are due before another."""
    first, each = lane.tickets[0], lane.cost / lane.length / share.weight
    begun = math.floor((now - share.tag) / each + ROUNDING)
    tie = ROUNDING if (share.since, first.seq) < before[2:] else -ROUNDING
    due = math.floor((before[1] - share.due(first.cost)) / each + tie)
    return 1 + max(0, min(begun, due, lane.length - 1))
