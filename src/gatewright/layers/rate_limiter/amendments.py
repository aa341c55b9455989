"""What is to be told to Redis of calls that ended and of providers' signals: gathered, and sent together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from gatewright.clock import Clock
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.shared_terms import AMEND, AMENDED, AMENDMENT, Terms, belief, mirror
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis import RedisStore

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.alone import Alone

__all__ = ["Amendments"]

SEND_AFTER = 0.005
"""Seconds; whatever is asked of Redis before that takes it along."""
AT_ONCE = 100
MAX_RELEASED = 10_000
NAME = 16
"""Bytes of a permit's name."""
NOTHING = (0.0, 0.0)


class _Amendment:
    """The sum of what there is to say of one limit; `is_more` where it is not only of calls that ended.

    `of_alone` are the requests and tokens that were let through without Redis, which are owed in that sum already.
    """

    __slots__ = (
        "alone",
        "is_more",
        "limit",
        "most_requests",
        "most_tokens",
        "of_alone",
        "paused_until",
        "requests",
        "tokens",
    )

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.requests = 0.0
        self.tokens = 0.0
        self.paused_until = -math.inf
        self.most_requests = math.inf
        self.most_tokens = math.inf
        self.is_more = False
        self.alone: Alone | None = None
        self.of_alone = NOTHING

    def forgivable(self) -> tuple[float, float]:
        """Give the requests and tokens that are owed for what was let through without Redis."""
        return (
            max(0.0, min(self.of_alone[0], -self.requests)),
            max(0.0, min(self.of_alone[1], -self.tokens)),
        )


class Amendments:
    """Keeps what cannot be sent until it can be: a sum for each limit, and permits. What was sent is not sent again.

    What Redis may have got, and did not confirm, is taken for done: charged too much is better than given back twice.
    Only permits are released again, and what was let through without Redis is charged again where Redis refused to.
    """

    def __init__(self, store: RedisStore, clock: Clock, terms: Callable[[Limit], Terms]) -> None:
        self._store = store
        self._now = clock.now
        self._terms = terms
        self._by_scope: dict[str, _Amendment] = {}
        self._released: dict[bytes, list[bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def give_back(self, limits: Sequence[Limit], requests: float, tokens: float) -> None:
        """Put back what was not used at each of these; below zero it is owed."""
        by_scope = self._by_scope
        for limit in limits:
            if (requests and limit.requests is not None) or (tokens and limit.tokens is not None):
                amendment = by_scope.get(limit.scope)
                if amendment is None:
                    amendment = by_scope[limit.scope] = _Amendment(limit)
                amendment.requests += requests
                amendment.tokens += tokens
                # What is put back after a correction comes on top of it.
                amendment.most_requests += requests
                amendment.most_tokens += tokens
        if self._timer is None:
            self._set_timer()

    def release(self, permit: bytes, keys: Sequence[bytes]) -> None:
        """Take a permit out of these sets."""
        released = self._released
        for key in keys:
            permits = released.get(key)
            if permits is None:
                released[key] = [permit]
            elif len(permits) < MAX_RELEASED:
                permits.append(permit)
        if keys and self._timer is None:
            self._set_timer()

    def release_again(self, taken: Mapping[bytes, bytes]) -> None:
        """Do the same for what was taken out of these sets, and may not have been: twice does no harm."""
        for key, permits in taken.items():
            for start in range(0, len(permits), NAME):
                self.release(permits[start : start + NAME], (key,))

    def pause(self, limit: Limit, seconds: float) -> None:
        """Pause a limit."""
        amendment = self._of(limit)
        amendment.is_more = True
        amendment.paused_until = max(amendment.paused_until, self._now() + seconds)
        amendment.most_requests = min(amendment.most_requests, 1.0)

    def correct(self, limit: Limit, requests: float | None, tokens: float | None) -> None:
        """Lower what is left."""
        amendment = self._of(limit)
        amendment.is_more = True
        if requests is not None:
            amendment.most_requests = min(amendment.most_requests, requests)
        if tokens is not None:
            amendment.most_tokens = min(amendment.most_tokens, tokens)

    def charge(self, limit: Limit, requests: float, tokens: float, alone: Alone) -> None:
        """Charge what was let through without Redis; `alone` hears what is forgiven of it."""
        if not requests and not tokens:
            return
        amendment = self._of(limit)
        amendment.is_more = True
        amendment.requests -= requests
        amendment.tokens -= tokens
        amendment.alone = alone
        amendment.of_alone = amendment.of_alone[0] + requests, amendment.of_alone[1] + tokens

    def take(self, limit: Limit) -> tuple[float, float]:
        """Give the requests and tokens to put back, to whoever asks for that limit now and takes them along."""
        amendment = self._by_scope.get(limit.scope)
        if amendment is None or amendment.limit is not limit:
            return NOTHING
        if amendment.is_more:
            self.send()
            return NOTHING
        del self._by_scope[limit.scope]
        return amendment.requests, amendment.tokens

    def take_released(self, key: bytes) -> bytes:
        """Give the permits to take out of a set, likewise."""
        permits = self._released.pop(key, None)
        return b"" if permits is None else b"".join(permits)

    def send(self) -> None:
        """Send everything that can be sent."""
        if not (self._by_scope or self._released) or self._store.is_degraded:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (self._by_scope or self._released) and not self._store.is_degraded:
            self._send_some()

    def abandon(self, *, forked: bool = False) -> None:
        """Send nothing from a loop that has ended; in a forked child forget what is the parent's to send."""
        if forked:
            self._by_scope.clear()
            self._released.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _of(self, limit: Limit) -> _Amendment:
        amendment = self._by_scope.get(limit.scope)
        if amendment is None:
            amendment = self._by_scope[limit.scope] = _Amendment(limit)
            self._set_timer()
        return amendment

    def _set_timer(self) -> None:
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # No loop runs: the next question takes it along.
            self._timer = loop.call_later(SEND_AFTER, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.send()

    def _send_some(self) -> None:
        some = [self._by_scope.pop(scope) for scope in list(islice(self._by_scope, AT_ONCE))]
        sets = {key: self.take_released(key) for key in list(islice(self._released, AT_ONCE))}
        now = self._now()
        keys = [self._terms(one.limit).key for one in some]
        packed = b"".join([self._packed(one, now) for one in some])
        self._store.run(AMEND, [*keys, *sets], [packed, *sets.values()], lambda reply: self._sent(reply, some, sets))

    def _packed(self, one: _Amendment, now: float) -> bytes:
        pause = one.paused_until - now
        return self._terms(one.limit).rates + AMENDMENT.pack(
            one.requests,
            one.tokens,
            *one.forgivable(),
            pause if pause > 0.0 else 0.0,
            one.most_requests,
            one.most_tokens,
            *belief(one.limit, now),
        )

    def _sent(self, reply: Any, some: Sequence[_Amendment], sets: Mapping[bytes, bytes]) -> None:
        if not isinstance(reply, bytes):
            self.release_again(sets)
            if isinstance(reply, StoreUnavailable) and reply.upstream_code is not None:
                self._charge_again(some)
            return
        now = self._now()
        for one, (requests, tokens, pause, *forgiven) in zip(some, AMENDED.iter_unpack(reply), strict=True):
            mirror(one.limit, now, requests, tokens, pause)
            if one.alone is not None:
                one.alone.forgive(one.limit, *forgiven)

    def _charge_again(self, some: Sequence[_Amendment]) -> None:
        for one in some:
            if one.alone is not None:
                self.charge(one.limit, *one.forgivable(), one.alone)
