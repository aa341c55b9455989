"""What tenants have had of a gate that they share, and whose turn it is: the virtual time of the fair queue."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Contest", "Share"]


class Contest:
    """One priority class before one shared gate: its virtual time, and how many shares of what weight contend.

    `begins` is the virtual time at which the call began that passed last: who comes now begins there. `heaviest` is the
    largest weight of those that contend, or did lately; `uneven` says that they have not all the same, and `reordered`
    that this has just changed, and with it who is due when.
    """

    __slots__ = ("begins", "contending", "heaviest", "idle", "reordered", "shares", "uneven", "virtual", "weight")

    def __init__(self) -> None:
        self.virtual = 0.0
        self.begins = 0.0
        self.contending = 0
        self.weight = 0.0
        self.heaviest = 0.0
        self.uneven = self.reordered = False
        self.shares: dict[Hashable, Share] = {}
        self.idle: list[tuple[float, int, Share]] = []

    def enter(self, weight: float) -> None:
        """Count one more share that contends."""
        if not self.contending:
            self.heaviest, self.uneven = weight, False
        elif weight > self.heaviest or (weight < self.heaviest and not self.uneven):
            self.heaviest = max(self.heaviest, weight)
            self.uneven = self.reordered = True
        self.contending += 1
        self.weight += weight

    def leave(self, weight: float) -> None:
        """Count one share less that contends."""
        self.contending -= 1
        self.weight -= weight

    def forget(self) -> None:
        """Let go of all shares, which refer to this: what goes in circles is freed late, and all at once."""
        self.shares.clear()
        self.idle.clear()


class Share:
    """What one tenant has had of one shared gate; `tag` is the virtual time at which its next call may begin.

    `since` is the virtual time at which it came, below zero: of those due at the same time the last to come is first.
    `contending` counts its lanes that could pass or wait right here: what is held up elsewhere claims nothing.
    """

    __slots__ = ("contending", "contest", "counted_weight", "lanes", "listed_idle", "since", "tag", "tenant", "weight")

    def __init__(self, contest: Contest, tenant: Hashable, weight: float) -> None:
        self.contest = contest
        self.tenant = tenant
        self.weight = weight
        self.counted_weight = 0.0
        self.tag = contest.begins
        self.since = 0.0
        self.contending = 0
        self.lanes = 0
        self.listed_idle = False

    def enter(self) -> None:
        """Count one more lane that contends; who comes back gets no credit for the time away."""
        if not self.contending:
            begins = self.contest.begins
            self.tag = max(self.tag, begins)
            self.since = -begins
            self.counted_weight = self.weight
            self.contest.enter(self.weight)
        self.contending += 1

    def leave(self) -> None:
        """Count one lane less that contends."""
        self.contending -= 1
        if not self.contending:
            self.contest.leave(self.counted_weight)

    def weigh(self, weight: float) -> None:
        """Count for another weight from now on; what it had above its share, or below, stays as much."""
        contest = self.contest
        self.tag = contest.virtual + (self.tag - contest.virtual) * self.weight / weight
        self.weight = weight
        if self.contending:
            contest.leave(self.counted_weight)
            self.counted_weight = weight
            contest.enter(weight)
            contest.reordered = True

    def due(self, cost: float) -> float:
        """Give the virtual time at which its next call, of this cost, has to begin at the latest.

        It is the time at which it would have to end, less the time that a tenant of the largest weight would take.
        """
        contest = self.contest
        return self.tag + cost / self.weight - cost / contest.heaviest if contest.uneven else self.tag

    def charge(self, cost: float) -> None:
        """Move the virtual time on by a call that passes now."""
        contest = self.contest
        if contest.contending == 1 and self.contending:
            # Nobody else is there to whom it could owe anything.
            contest.begins = self.tag
            contest.virtual = self.tag + cost / self.weight
        else:
            contest.begins = max(contest.virtual, self.tag)
            contest.virtual = max(contest.virtual + cost / max(contest.weight, self.counted_weight), self.tag)
        self.tag += cost / self.weight
