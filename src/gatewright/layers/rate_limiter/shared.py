"""The ledger that processes share through Redis; where Redis fails, each has its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import CallCancelled
from gatewright.layers.rate_limiter.alone import Alone
from gatewright.layers.rate_limiter.amendments import Amendments
from gatewright.layers.rate_limiter.leases import LEASE, Leases
from gatewright.layers.rate_limiter.ledger import blocked_by, try_reserve
from gatewright.layers.rate_limiter.limit import NOBODY, Limit, Others
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.permit import Giver, NoGiver, Permit
from gatewright.layers.rate_limiter.shared_terms import (
    AMEND,
    BACK_BELIEF_AND_WAITING,
    CHARGE,
    LEFT,
    RENEW,
    RESERVE,
    VERDICT,
    Terms,
    belief,
    mirror,
)
from gatewright.storage.redis import RedisStore, Unanswered

__all__ = ["Refusal", "SharedLedger", "SharedPermit"]

Refusal = tuple[Limit, float]
"""The limit that has no room, and the seconds until it may have; infinity where another call has to end first."""

MAX_TERMS = 20_000
BELIEVED = 2.0
"""Seconds for which other processes are believed to wait as they did."""


class SharedPermit(Permit, eq=False, gc=False):
    """A charge in Redis; its settlement goes there soon, and nobody waits for that. `name` is its name there.

    `ledger` is the one in which it was charged: this process's own while Redis does not answer.
    """

    ledger: SharedLedger | Alone
    name: bytes

    def settle(self, used_tokens: float | None, now: float | None = None) -> bool:
        """Charge what was really used."""
        # First the ledger: whoever is let go by this asks Redis, and takes along what is put back.
        if self.is_open:
            self.ledger.settled(self, 0.0, 0.0 if used_tokens is None else self.tokens - used_tokens)
        return Permit.settle(self, used_tokens, now)

    def undo(self, now: float) -> bool:
        """Take everything back, and tell nobody."""
        if self.is_open:
            self.ledger.settled(self, 1.0, self.tokens)
        return Permit.undo(self, now)


class SharedLedger:
    """Charges calls in Redis, all limits of one in one step and one round trip; on the home loop only.

    The limits of this process mirror what Redis said last. They decide where Redis does not answer in time, and tell
    Redis what it has forgotten after a restart. `giver` is who gives the permits.
    """

    def __init__(self, store: RedisStore, clock: Clock = MONOTONIC) -> None:
        store.use(RESERVE, AMEND, RENEW, on_return=self._returned)
        self.giver: Giver = NoGiver(clock)
        self._store = store
        self._now = clock.now
        self._terms: dict[str, Terms] = {}
        self._names = count()
        self._process = os.urandom(8)
        self._leases = Leases(store)
        self.on_return: Callable[[], None] | None = None
        """Hears that Redis is asked again."""
        self._amendments = Amendments(store, clock, self.terms)
        self._alone: Alone | None = None

    @property
    def is_shared(self) -> bool:
        """Whether Redis is asked; where it is not, the limits of this process decide."""
        return not self._store.is_degraded

    async def try_reserve(self, limits: Sequence[Limit], tokens: float) -> Permit | Refusal:
        """Charge one request of `tokens` to all `limits`, or tell why not and charge none.

        A caller that is cancelled meanwhile is charged nothing; where its giver began another era it is cut off.
        """
        giver, era = self.giver, self.giver.era
        answered: asyncio.Future[Permit | Refusal] = asyncio.get_running_loop().create_future()

        def answer(got: Permit | Refusal) -> None:
            if not answered.done():
                answered.set_result(got)
            elif isinstance(got, Permit):
                got.undo(self._now())

        self.ask(limits, tokens, answer)
        try:
            got = await answered
        except asyncio.CancelledError:
            # It may have been answered in the very step in which the caller was cancelled.
            if answered.done() and not answered.cancelled() and isinstance(got := answered.result(), Permit):
                got.undo(self._now())
            raise
        if giver.era is not era:
            raise CallCancelled("the call was cut off: its gateway moved to another event loop")
        return got

    def ask(
        self,
        limits: Sequence[Limit],
        tokens: float,
        then: Callable[[Permit | Refusal], None],
        waiting_for: Callable[[Limit], int] | None = None,
    ) -> None:
        """Do the same without waiting; `then` is given the outcome, once and for certain, maybe before this returns.

        One that waits, and asks again at least twice a second, has its turn before other processes' smaller calls;
        `waiting_for` says how many of this process do so at each limit.
        """
        if self._store.is_degraded:
            then(self.locally(limits, tokens))
            return
        now = self._now()
        take, known = self._amendments.take, self._terms
        keys: list[bytes] = []
        permit_keys: list[bytes] = []
        ended: list[bytes] = []
        packed = [CHARGE.pack(tokens, LEASE, 0.0 if waiting_for is None else 1.0, self._process)]
        for limit in limits:
            terms = known.get(limit.scope)
            if terms is None or terms.config is not limit.config:
                terms = self.terms(limit)
            keys.append(terms.key)
            packed.append(terms.rates_and_maximum)
            packed.append(
                BACK_BELIEF_AND_WAITING.pack(
                    *take(limit), *belief(limit, now), 0.0 if waiting_for is None else waiting_for(limit)
                )
            )
            if terms.permits_key is not None:
                permit_keys.append(terms.permits_key)
                ended.append(self._amendments.take_released(terms.permits_key))
        permit = self._name() if permit_keys else b""
        self._store.run(
            RESERVE,
            keys + permit_keys,
            [b"".join(packed), permit, *ended],
            lambda reply: then(self._judged(reply, limits, tokens, permit, permit_keys, ended)),
        )

    def locally(self, limits: Sequence[Limit], tokens: float, *, is_charged: bool = False) -> Permit | Refusal:
        """Decide by the limits of this process, and keep in mind what Redis is to be told of that.

        `is_charged` says that Redis was asked, and is taken to charge it: it has, or does as soon as it goes on.
        """
        now = self._now()
        got = try_reserve(limits, tokens, now, self.giver)
        if not isinstance(got, Permit):
            blocked = blocked_by(limits, tokens, now)
            assert blocked is not None
            return blocked
        ledger = self if is_charged or not got.limits.all else self._charged_alone(got, now)
        keys = [key for limit in limits if (key := self.terms(limit).permits_key) is not None]
        name = self._name() if keys else b""
        if keys:
            self._leases.begin(name, keys)
        return SharedPermit(got.limits, tokens, now, self.giver, self.giver.era, ledger, name)

    def settled(self, permit: SharedPermit, requests: float, tokens: float) -> None:
        """Put back what a call did not use, and its permit."""
        if requests or tokens:
            self._amendments.give_back(permit.limits, requests, tokens)
        if permit.name:
            self._amendments.release(permit.name, self._leases.end(permit.name))

    def pause(self, limit: Limit, seconds: float) -> None:
        """Let nothing through to `limit` for so long, in any process; the limit itself is paused already."""
        if seconds > 0.0:
            self._amendments.pause(limit, seconds)

    def correct(self, limit: Limit, requests: float | None, tokens: float | None) -> None:
        """Tell the others a provider's word for what is left; the limit itself is corrected already."""
        self._amendments.correct(limit, requests, tokens)

    def terms(self, limit: Limit) -> Terms:
        """Give what Redis is told of a limit, as it is configured now."""
        terms = self._terms.get(limit.scope)
        if terms is None or terms.config is not limit.config:
            if len(self._terms) >= MAX_TERMS:
                self._terms.clear()
            terms = self._terms[limit.scope] = Terms(limit, self._store)
        return terms

    def close(self) -> None:
        """Send what is still to be sent; the store is closed by whoever opened it."""
        self._amendments.send()
        self._leases.abandon()

    def abandon(self, *, forked: bool = False) -> None:
        """Hear that the loop does not run any more: permits of calls at once are given back with the next question.

        In a forked child they, and what is to be told to Redis, are the parent's: it has a name of its own from now on.
        """
        if forked:
            self._alone = None
        else:
            self._tell_what_was_alone()
        self._amendments.abandon(forked=forked)
        held = self._leases.abandon()
        if forked:
            self._process = os.urandom(8)
        else:
            for permit, keys in held.items():
                self._amendments.release(permit, keys)

    def _name(self) -> bytes:
        return self._process + next(self._names).to_bytes(8, "big")

    def _judged(
        self,
        reply: Any,
        limits: Sequence[Limit],
        tokens: float,
        permit: bytes,
        permit_keys: list[bytes],
        ended: list[bytes],
    ) -> Permit | Refusal:
        if not isinstance(reply, bytes):
            # It may have been charged all the same: its permit must not stay taken.
            self._amendments.release(permit, permit_keys)
            self._amendments.release_again(dict(zip(permit_keys, ended, strict=True)))
            return self.locally(limits, tokens, is_charged=isinstance(reply, Unanswered))
        now = self._now()
        wait, by = VERDICT.unpack_from(reply)
        at = VERDICT.size
        for limit in limits:
            requests_left, tokens_left, pause, _, others, their_calls = LEFT.unpack_from(reply, at)
            mirror(limit, now, requests_left, tokens_left, pause)
            if others or limit.others is not NOBODY:
                limit.others = Others(others, their_calls, now + BELIEVED) if others else NOBODY
            at += LEFT.size
        if by:
            return limits[int(by) - 1], wait
        for limit in limits:
            limit.in_flight += 1
        if permit:
            self._leases.begin(permit, permit_keys)
        charged = limits if isinstance(limits, LimitSet) and limits.is_current else LimitSet(limits)
        return SharedPermit(charged, tokens, now, self.giver, self.giver.era, self, permit)

    def _charged_alone(self, got: Permit, now: float) -> Alone:
        if self._alone is None:
            self._alone = Alone(self, self._amendments)
        self._alone.charge(got, now)
        return self._alone

    def _tell_what_was_alone(self) -> None:
        alone, self._alone = self._alone, None
        if alone is not None:
            alone.tell(self._now())

    def _returned(self) -> None:
        """Tell Redis, which is back, what is under way here, and what was let through without it."""
        self._leases.renew()
        self._tell_what_was_alone()
        self._amendments.send()
        if self.on_return is not None:
            self.on_return()
