"""Where calls wait for room: who comes in, who is refused, and what changes for those who wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gatewright.errors import GatewayError, RateLimited
from gatewright.layers.rate_limiter.fair_queue import Ticket
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.outlook import wait_behind
from gatewright.layers.rate_limiter.permit import Claim, Permit
from gatewright.layers.rate_limiter.refusals import (
    cannot_wait,
    displaced,
    hopeless,
    known_wait,
    late,
    too_late,
)
from gatewright.layers.rate_limiter.registry import Standing
from gatewright.layers.rate_limiter.turnstile import Turnstile
from gatewright.layers.rate_limiter.waiter import Rivals, Waiter
from gatewright.pipeline.room import soonest

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.shared import Refusal

__all__ = ["Place", "WaitingRoom"]

Place = tuple[Claim, LimitSet, "Refusal | None"]
"""What a call asks of which limits, and what the shared ledger said of that just now, if it was asked."""


class WaitingRoom(Turnstile):
    """Who may wait, at which places, and what a change of the limits means to those who do."""

    def enter(self, places: Sequence[Place], standing: Standing) -> Waiter:
        """Let a call wait at all of its places for the first that has room, or refuse it at once.

        It is refused where the queue is full, or where it would wait in vain.
        """
        self._leave_closed_loop()
        future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        if len(places) == 1:
            return self._enter(places[0], standing, future)
        rivals = Rivals(len(places))
        for place in places:
            self._take_place(rivals, place, standing, future)
            if future.done():
                break
        rivals.complete = True
        if not future.done() and not self._is_waited_at(rivals):
            raise soonest(rivals.refusals)
        return rivals.waiters[0]

    def join(self, waiter: Waiter, place: Place, standing: Standing) -> None:
        """Let a call that waits wait at one more place, since when it has waited at the others."""
        if waiter.future.done() or any(one.claim == place[0] and one in self._waiters for one in waiter.places):
            return
        rivals = waiter.rivals = waiter.rivals or Rivals(1, waiter)
        rivals.count += 1
        rivals.complete = False
        self._take_place(rivals, place, standing, waiter.future, waiter.queued_at)
        rivals.complete = True
        if not waiter.future.done() and not self._is_waited_at(rivals):
            self._fail(waiter, soonest(rivals.refusals))

    def reconsider(
        self,
        changed: Sequence[Limit],
        concerned: Callable[[Claim], bool],
        limits_of: Callable[[Claim], LimitSet],
        standing_of: Callable[[Claim], Standing],
    ) -> None:
        """Have a changed configuration hold for those who wait; their order of arrival stays.

        Those who do not go now are refused where calls do not wait by it, or would in vain.
        """
        waiters = [waiter for waiter in self._waiters if concerned(waiter.claim)]
        for waiter in waiters:
            self._reconsider(waiter, limits_of(waiter.claim), standing_of(waiter.claim))
        self.wake(changed)
        now = self._clock.now()
        for waiter in waiters:
            if waiter in self._waiters and (limit := waiter.waits_for) is not None and not limit.config.queues:
                self._end(waiter, cannot_wait(waiter.claim, limit, wait_behind(waiter.ticket, now)))
        for lane in dict.fromkeys(waiter.ticket.lane for waiter in waiters if waiter in self._waiters):
            for waiter, error in late(lane, now):
                self._end(waiter, error)
        self.pump()

    def refuse_hopeless(self, limit: Limit) -> None:
        """Refuse those who wait for a limit that is paused for longer than they can wait."""
        now = self._clock.now()
        for waiter in [one for one in self._waiters if limit in one.limits.all and one.expires < limit.paused_until]:
            self._end(waiter, too_late(waiter.claim, [limit.scope], wait_behind(waiter.ticket, now)))
        self.pump()

    def turn_away(self, limit: Limit, error: Callable[[], GatewayError]) -> None:
        """Have those who wait for a limit wait for it no more: where it leads to nobody may go now."""
        for waiter in [one for one in self._waiters if limit in one.limits.all]:
            self._end(waiter, error())
        self.pump()

    def _take_place(
        self,
        rivals: Rivals,
        place: Place,
        standing: Standing,
        future: asyncio.Future[Permit],
        since: float | None = None,
    ) -> None:
        """Take one more place of a call, or keep in mind why it may not wait there."""
        try:
            rivals.waiters.append(self._enter(place, standing, future, rivals, since))
        except RateLimited as error:
            rivals.refusals.append(error)

    def _enter(
        self,
        place: Place,
        standing: Standing,
        future: asyncio.Future[Permit],
        rivals: Rivals | None = None,
        since: float | None = None,
    ) -> Waiter:
        claim, limits, refusal = place
        now = self._clock.now()
        if not limits.queue:
            self._refuse_if_it_may_not_wait(claim, limits.all, now, refusal)
        self._loop = future.get_loop()
        waiter = Waiter(claim, limits, standing, now if since is None else since, future, rivals)
        if refusal is not None and self._asking is not None:
            waiter.refused = self._asking.again_at(refusal)
        leaving = self._get_in_line(waiter, now)
        error = hopeless(waiter, now)
        if error is not None:
            # Nobody leaves for one who does not stay.
            self._remove(waiter)
            self.pump()
            raise error
        for other, its_error in leaving:
            self._end(other, its_error)
        self._waiters[waiter] = None
        self._expiries.add(waiter)
        if leaving or self._queue.has_ready:
            self.pump()
        else:
            # It stands behind another of its lane, and that changes nothing for anybody.
            self._alarm.set(waiter.expires, self._loop)
        return waiter

    def _get_in_line(self, waiter: Waiter, now: float) -> list[tuple[Waiter, RateLimited]]:
        """Get a call in line, and give those who leave a full queue for it, each with what it is told."""
        try:
            self._enqueue(waiter, now)
        except RateLimited:
            leaving = self._queue.displaced_by(waiter.claim.tenant, waiter.limits.all)
            if not leaving:
                raise
            told = [(ticket.call, displaced(ticket.call, wait_behind(ticket, now))) for ticket in leaving]
            self._enqueue(waiter, now, although_full=True)
            return told
        return []

    def _refuse_if_it_may_not_wait(
        self, claim: Claim, limits: Sequence[Limit], now: float, refusal: Refusal | None
    ) -> None:
        for limit in limits:
            if not limit.config.queues and (
                limit.time_until(claim.tokens, now) > 0.0
                or not self._queue.is_free((limit,))
                or (refusal is not None and refusal[0] is limit)
            ):
                raise cannot_wait(claim, limit, self._queue.newcomers_wait(limits, claim.tokens, now))

    def _reconsider(self, waiter: Waiter, limits: LimitSet, standing: Standing) -> None:
        moves = limits.all != waiter.limits.all or standing != waiter.standing
        waiter.limits, waiter.standing = limits, standing
        if moves:
            ticket = waiter.ticket
            self._queue.cancel(ticket)
            try:
                self._enqueue(waiter, self._clock.now(), since=ticket)
            except RateLimited as error:
                self._end(waiter, error)
                return
        if limits.patience < math.inf and (until := waiter.last_moment()) != waiter.expires:
            waiter.expires = until
            self._expiries.add(waiter)

    def _enqueue(self, waiter: Waiter, now: float, *, although_full: bool = False, since: Ticket | None = None) -> None:
        claim, standing = waiter.claim, waiter.standing
        try:
            waiter.ticket = self._queue.enqueue(
                waiter,
                tenant=claim.tenant,
                gates=waiter.limits.all,
                cost=claim.tokens,
                now=now,
                weight=standing.weight,
                priority=standing.priority,
                elsewhere=0.0 if waiter.rivals is None else 1.0 - 1.0 / waiter.rivals.count,
                although_full=although_full,
                since=since,
            )
        except RateLimited as error:
            error.asked = False
            error.model, error.request_id = claim.model, claim.call_id
            error.retry_after = known_wait(error.retry_after)
            raise
