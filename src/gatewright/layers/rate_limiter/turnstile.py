"""Lets those who wait go when there is room, and refuses those whose time is up: one future each, one alarm for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.rate_limiter.alarm import Alarm
from gatewright.layers.rate_limiter.asking import Asking
from gatewright.layers.rate_limiter.expiries import Expiries
from gatewright.layers.rate_limiter.fair_queue import FairQueue, Gate, Ticket
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.outlook import wait_behind
from gatewright.layers.rate_limiter.permit import Giver, Permit
from gatewright.layers.rate_limiter.refusals import cannot_wait, waited_too_long
from gatewright.layers.rate_limiter.waiter import Rivals, Waiter
from gatewright.pipeline.room import soonest

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.shared import SharedLedger

__all__ = ["Turnstile"]


class Turnstile:
    """Who waits, in the fair queue's order; every waiter ends: with a permit, refused, or gone by itself."""

    def __init__(
        self,
        clock: Clock,
        giver: Giver,
        max_size: int,
        shared: SharedLedger | None = None,
    ) -> None:
        self._clock = clock
        self._giver = giver
        # What other processes give back at a limit, this one cannot foretell.
        self._queue = FairQueue(max_size, foretold=shared is None)
        self._waiters: dict[Waiter, None] = {}  # in the order of their arrival
        self._loop: asyncio.AbstractEventLoop | None = None  # theirs
        self._expiries = Expiries(self._waiters)
        self._turned_away: list[tuple[Waiter, Limit]] = []
        self._alarm = Alarm(clock, self._ring)
        self._now = 0.0
        waits = self._waiters.__contains__
        self._asking = (
            None
            if shared is None
            else Asking(shared, clock.now, lambda one: self.wake((one,)), waits, self._queue.waiting_for)
        )
        if shared is not None:
            shared.on_return = self._ask_all_again

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def waiters(self) -> Mapping[Waiter, None]:
        """Those who wait, in the order of their arrival; it shows them as they come and go."""
        return self._waiters

    @property
    def has_timer(self) -> bool:
        """Whether a task waits for the next time at which something is due."""
        return self._alarm.is_set

    def is_free(self, limits: Sequence[Limit]) -> bool:
        """Whether a call may try these limits without overtaking anyone."""
        return not self._waiters or self._queue.is_free(limits)

    def expected_wait(self, waiter: Waiter, now: float) -> float:
        """Estimate the seconds until a call goes."""
        return self._queue.expected_wait(waiter.ticket, now)

    def position(self, waiter: Waiter) -> int:
        """Give a call's place among its tenant's calls for the same limits."""
        return self._queue.position(waiter.ticket)

    def leave(self, waiter: Waiter) -> None:
        """Let a call go whose caller has gone: no trace of it stays, nor of the permit that it got just now."""
        here = [one for one in waiter.places if one in self._waiters]
        if here:
            for one in here:
                self._remove(one)
            self.pump()
        elif waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
            waiter.future.result().cancel()

    def wake(self, limits: Iterable[Gate]) -> None:
        """Let those go who wait for these limits and find room now."""
        for limit in limits:
            self._queue.wake(limit)
        self.pump()

    def pump(self) -> None:
        """Let go whoever can, refuse whoever waited too long, and set the alarm to when that changes."""
        self._leave_closed_loop()
        following = self._ring()
        if following is None:
            self._alarm.clear()
        else:
            assert self._loop is not None
            self._alarm.set(following, self._loop)

    def _ask_all_again(self) -> None:
        """Ask Redis, which is back, for those who waited meanwhile for what this process knew of."""
        for waiter in self._waiters:
            waiter.refused = None
        self.wake(dict.fromkeys(limit for waiter in self._waiters for limit in waiter.limits.all))

    def end_all(self, error: Callable[[], GatewayError]) -> None:
        """End everyone's waiting with `error`."""
        for waiter in list(self._waiters):
            self._end(waiter, error())
        self._expiries.clear()
        self._alarm.clear()

    def abandon(self, error: Callable[[], GatewayError] | None) -> None:
        """Forget everyone, whose loop does not run any more; who is there again all the same gets `error`."""
        for waiter in list(self._waiters):
            self._remove(waiter)
            if error is not None:
                with contextlib.suppress(RuntimeError):  # their loop is closed: nobody is there
                    waiter.future.get_loop().call_soon_threadsafe(self._fail, waiter, error())
        self._expiries.clear()
        self._alarm.forget()

    def _ring(self) -> float | None:
        """Let go and refuse whoever is due, and give the next time at which somebody may be."""
        now = self._now = self._clock.now()
        while True:
            while (ticket := self._queue.next(now, self._reserve)) is not None:
                self._let_go(ticket.call, now)
            if not self._refuse_turned_away(now) and not self._expire(now):
                break
        return self._next_due()

    def _next_due(self) -> float | None:
        expires = self._expiries.next
        if expires is None:
            return None
        foretold = self._queue.next_alarm
        return expires if foretold is None else min(foretold, expires)

    def _reserve(self, ticket: Ticket) -> tuple[Gate, float] | None:
        waiter: Waiter = ticket.call
        asking = self._asking if waiter.limits.all else None
        closed = self._try(waiter) if asking is None else asking.reserve(waiter, self._now)
        # One that waited elsewhere may come to a limit for which calls do not wait.
        if closed is not None and not closed[0].config.queues and not waiter.asking:
            self._turned_away.append((waiter, closed[0]))
        return closed

    def _try(self, waiter: Waiter) -> tuple[Limit, float] | None:
        got = try_reserve(waiter.limits, waiter.claim.tokens, self._now, self._giver)
        if isinstance(got, Permit):
            waiter.permit = got
            return None
        return blocked_by(waiter.limits.all, waiter.claim.tokens, self._now)

    def _refuse_turned_away(self, now: float) -> bool:
        """Refuse those who came to a limit for which calls do not wait; False if there was nobody."""
        if not self._turned_away:
            return False
        turned_away, self._turned_away = self._turned_away, []
        for waiter, limit in turned_away:
            if waiter in self._waiters:
                self._end(waiter, cannot_wait(waiter.claim, limit, wait_behind(waiter.ticket, now)))
        return True

    def _let_go(self, waiter: Waiter, now: float) -> None:
        del self._waiters[waiter]
        waiter.ticket.call = None
        permit = waiter.permit
        assert permit is not None
        if waiter.rivals is not None:
            for other in waiter.rivals.waiters:
                if other in self._waiters:
                    self._remove(other)
        if not waiter.future.done():
            waiter.future.set_result(permit)
            return
        # Its task was cancelled and has not run since.
        permit.undo(now)
        for limit in permit.limits.all:
            self._queue.wake(limit)

    def _expire(self, now: float) -> bool:
        """Refuse those whose time is up; False if there was nobody."""
        somebody = False
        while (waiter := self._expiries.take_due(now)) is not None:
            self._end(waiter, waited_too_long(waiter, wait_behind(waiter.ticket, now), now))
            somebody = True
        return somebody

    def _remove(self, waiter: Waiter) -> None:
        self._waiters.pop(waiter, None)
        if waiter.permit is not None:
            # It was charged while others were before it in line, and has not gone.
            waiter.permit.undo(self._clock.now())
        self._queue.cancel(waiter.ticket)
        waiter.ticket.call = None

    def _end(self, waiter: Waiter, error: GatewayError) -> None:
        self._remove(waiter)
        rivals = waiter.rivals
        if rivals is not None:
            rivals.refusals.append(error)
            if not rivals.complete or self._is_waited_at(rivals):
                return
            error = soonest(rivals.refusals)
        self._fail(waiter, error)

    def _is_waited_at(self, rivals: Rivals) -> bool:
        """Whether their call still waits at any of them."""
        return any(one in self._waiters for one in rivals.waiters)

    def _fail(self, waiter: Waiter, error: GatewayError) -> None:
        error.asked = False
        if not waiter.future.done():
            waiter.future.set_exception(error)

    def _leave_closed_loop(self) -> None:
        if self._waiters and self._loop is not None and self._loop.is_closed():
            self.abandon(None)
