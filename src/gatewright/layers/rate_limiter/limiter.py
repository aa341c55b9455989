"""Every limit of one gateway: calls are admitted by all that apply at once, and wait where they have no room."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import CallCancelled, GatewayClosed, GatewayError
from gatewright.layers.rate_limiter.bucket import Bucket
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.estimator import OutputEstimator
from gatewright.layers.rate_limiter.ledger import try_reserve
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.meter import TokenMeter
from gatewright.layers.rate_limiter.permit import Claim, Permit
from gatewright.layers.rate_limiter.registry import LimitRegistry, Name, Scope
from gatewright.layers.rate_limiter.status import LimitStatus, QueueStatus, limit_status, queue_status
from gatewright.layers.rate_limiter.waiter import Waiter
from gatewright.layers.rate_limiter.waiting_room import Place, WaitingRoom
from gatewright.pipeline.cut_off import mark_as_unasked
from gatewright.pipeline.events import CallAdmitted, CallQueued, Events
from gatewright.types.limits import ProviderLimits

if TYPE_CHECKING:
    from gatewright.layers.rate_limiter.shared import Refusal, SharedLedger

__all__ = ["RateLimiter"]

SWEEP_SECONDS = 1.0
SWEPT_AT_ONCE = 200


class RateLimiter:
    """Lives on the gateway's home loop; whatever is called here is called there, or while no loop runs.

    When the gateway moves to another loop it is told by `abandon`, and at its end by `aclose`. `shared` is the ledger
    that all processes share; without it, and where it fails, the limits are those of this process.
    """

    def __init__(
        self,
        clock: Clock = MONOTONIC,
        events: Events | None = None,
        *,
        max_waiting: int = 100_000,
        shared: SharedLedger | None = None,
    ) -> None:
        self.now = clock.now
        self.era = object()
        """Changes when all permits given before are void."""
        self.meter = TokenMeter(OutputEstimator())
        self._events = events or Events()
        self._registry = LimitRegistry()
        self._sets = self._registry.sets
        self._shared = shared
        if shared is not None:
            shared.giver = self
        self._room = WaitingRoom(clock, self, max_waiting, shared)
        self.waiters = self._room.waiters
        self._sweep_at = -math.inf

    def configure(self, scope: Scope, name: Name, config: RateLimitConfig | None) -> None:
        """Set, change or (None) remove a limit, also for those who wait; `EVERY` is each without one of its own.

        The global limit's name is `""`, a tenant_model's is the pair.
        """
        changed = self._registry.configure(scope, name, config, self.now())
        if self._room:
            self._room.reconsider(
                changed,
                lambda claim: claim.is_concerned_by(scope, name),
                self.limits_for,
                lambda claim: self._registry.standing(claim.tenant, claim.model),
            )

    def limited(self, scope: Scope) -> list[Name]:
        """Give the names for which a limit of this scope is configured."""
        return self._registry.configured(scope)

    def limits_of(self, tenant: str | None, model: str | None, key: str | None, now: float | None = None) -> LimitSet:
        """Give the limits that apply to a call; none where nothing is configured. `now` is the clock's, if it is read.

        Whoever keeps them asks again when they are not current any more.
        """
        if now is None:
            now = self.now()
        if now >= self._sweep_at:
            self._sweep(now)
        found = self._sets.get((tenant, model, key))
        return self._registry.set_of(tenant, model, key, now) if found is None else found

    def allowed_at_once(self, tenant: str | None, model: str | None, key: str | None) -> int | None:
        """Give how many such calls may be under way at once; None where no limit bounds that."""
        bounds = [limit.config.max_concurrent for limit in self.limits_of(tenant, model, key)]
        return min((bound for bound in bounds if bound is not None), default=None)

    def limit_of(self, deployment: str) -> LimitSet:
        """Give the limit that applies to an attempt, likewise."""
        return self._registry.set_of_deployment(deployment, self.now())

    def limits_for(self, claim: Claim) -> LimitSet:
        """Give the limits that apply to a claim."""
        if claim.deployment is not None:
            return self.limit_of(claim.deployment)
        return self.limits_of(claim.tenant, claim.model, claim.key)

    def try_admit(self, limits: LimitSet, tokens: float, now: float) -> Permit | None:
        """Admit a call without waiting; None where there is no room, others wait for it, or Redis must be asked."""
        if (self.waiters or self._shared is not None) and not self._decides_alone(limits):
            return None
        if self._shared is not None:
            alone = self._shared.locally(limits, tokens)
            return alone if isinstance(alone, Permit) else None
        got = try_reserve(limits, tokens, now, self)
        return got if type(got) is Permit else None

    def _decides_alone(self, limits: LimitSet) -> bool:
        """Say whether nobody waits for these limits, and Redis need not be asked or does not answer."""
        if self._shared is not None and limits.all and self._shared.is_shared:
            return False
        return self._room.is_free(limits.all)

    async def admit(self, claim: Claim) -> Permit:
        """Admit a call, as soon as all limits that apply have room and its turn has come.

        `RateLimited`, with an honest `retry_after`, where calls do not wait, the queue is full, or it was waited for
        too long; also at once where the wait would go past the deadline.
        """
        return (await self.admit_to_any((claim,)))[1]

    async def admit_to_any(
        self, claims: Sequence[Claim], entered: Callable[[Waiter], None] | None = None
    ) -> tuple[Claim, Permit]:
        """Admit a call by the first of its claims that can be; it waits in the lines of all of them.

        `entered` is told of the waiter where it has to wait, which may `join` further lines.
        """
        places: list[Place] = []
        for claim in claims:
            limits = self.limits_for(claim)
            permit = self.try_admit(limits, claim.tokens, self.now())
            if permit is not None:
                return claim, permit
            question = self._question(limits, claim.tokens)
            got = None if question is None else await question
            if isinstance(got, Permit):
                return claim, got
            places.append((claim, limits, got))
        claim = claims[0]
        waiter = self._room.enter(places, self._registry.standing(claim.tenant, claim.model))
        del places  # many wait, and what each of them keeps the garbage collector goes through
        heard = self._events.heard
        scope = waiter.scope if heard else ""
        if heard:
            self._tell_queued(waiter, scope)
        if entered is not None:
            entered(waiter)
        try:
            permit = await waiter.future
        except BaseException as error:
            self._room.leave(waiter)
            if not isinstance(error, Exception):
                mark_as_unasked(error)
            raise
        if heard:
            waited = self.now() - waiter.queued_at
            self._events.emit(CallAdmitted(call_id=claim.call_id, limit=scope, waited=waited))
        return next(one.claim for one in waiter.places if one.permit is permit), permit

    def join(self, waiter: Waiter, claim: Claim) -> bool:
        """Have a call that waits wait by one more claim, as if it had from the beginning; True where it goes now."""
        standing = self._registry.standing(claim.tenant, claim.model)
        self._room.join(waiter, (claim, self.limits_for(claim), None), standing)
        return waiter.future.done()

    def pause(self, deployment: str, until: float) -> None:
        """Let nothing through to a deployment before `until`, as its provider asked."""
        now = self.now()
        for limit in self.limit_of(deployment):
            if until > limit.paused_until:
                limit.pause_until(until, now)
                if self._shared is not None:
                    self._shared.pause(limit, until - now)
                self._room.refuse_hopeless(limit)

    def correct(
        self, deployment: str, left: ProviderLimits, *, said_at: float | None = None, to_come: float = 0.0
    ) -> None:
        """Take a provider's word for what is left; only downwards, because the configured limit holds too.

        It holds for `said_at`, and is filled since. `to_come` are the tokens that its own call has still to put back:
        they must not come on top of it.
        """
        now = self.now()
        past = 0.0 if said_at is None else now - said_at
        for limit in self.limit_of(deployment):
            requests = _now_left(left.remaining_requests, limit.requests, past)
            tokens = _now_left(left.remaining_tokens, limit.tokens, past)
            if tokens is not None:
                tokens -= to_come
            limit.correct(now, requests=requests, tokens=tokens)
            if self._shared is not None:
                self._shared.correct(limit, requests, tokens)

    def turn_away(self, deployment: str, error: Callable[[], GatewayError]) -> None:
        """Have nobody wait for a deployment to which no call may go now: `error` is what they get."""
        if self.waiters:
            for limit in self.limit_of(deployment):
                self._room.turn_away(limit, error)

    def has_room(self, deployment: str, now: float, tokens: float = 1.0) -> bool:
        """Say whether a call of so many tokens would go through to a deployment at once."""
        limits = self._registry.set_of_deployment(deployment, now)
        return not limits.all or (limits.all[0].time_until(tokens, now) == 0.0 and self._room.is_free(limits.all))

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len({waiter.future for waiter in self.waiters})

    def waiting_by_deployment(self) -> dict[str, set[object]]:
        """Give the calls that wait for each deployment; one may wait for several."""
        found: dict[str, set[object]] = {}
        for waiter in self.waiters:
            if (deployment := waiter.claim.deployment) is not None:
                found.setdefault(deployment, set()).add(waiter.future)
        return found

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and no timer runs."""
        return not self._room and not self._room.has_timer

    def queue_status(self) -> QueueStatus:
        """Give who waits, for what, at which place and for how long still."""
        return queue_status(self._room.waiters, self.now())

    def levels(self) -> list[LimitStatus]:
        """Give what is left of every limit in use."""
        now = self.now()
        waiting = self.queue_status().by_limit if self._room else {}
        return [limit_status(limit, waiting.get(limit.scope, 0), now) for limit in self._registry.in_use()]

    def released(self, limits: Sequence[Limit]) -> None:
        """Let those go who wait for what a permit had."""
        if self.waiters:
            self._room.wake(limits)

    async def aclose(self) -> None:
        """Refuse everyone who waits."""
        self._room.end_all(lambda: GatewayClosed("the gateway was closed while the call waited for its turn"))
        if self._shared is not None:
            self._shared.close()

    def abandon(self, *, forked: bool = False) -> None:
        """Forget who waits and what is under way: their loop does not run any more, or is the parent process's.

        Permits of calls at once are free again, and what was reserved stays charged.
        """
        # First those who wait: what some were charged already is theirs to take back.
        self._room.abandon(None if forked else _cut_off)
        self.era = object()
        if self._shared is not None:
            self._shared.abandon(forked=forked)
        for limit in self._registry.in_use():
            limit.in_flight = 0

    async def ask(self, limits: LimitSet, tokens: float) -> Permit | None:
        """Ask Redis whether there is room for a call that does not wait; None where there is none, or no Redis."""
        question = self._question(limits, tokens)
        got = None if question is None else await question
        return got if isinstance(got, Permit) else None

    def _question(self, limits: LimitSet, tokens: float) -> Coroutine[Any, Any, Permit | Refusal] | None:
        """Give the question to the shared ledger; None without one, and where others wait, who are asked before."""
        shared = self._shared
        if shared is None or not limits.all or not self._room.is_free(limits.all):
            return None
        return shared.try_reserve(limits, tokens)

    def _tell_queued(self, waiter: Waiter, scope: str) -> None:
        if not waiter.future.done():
            self._events.emit(
                CallQueued(
                    call_id=waiter.claim.call_id,
                    limit=scope,
                    position=self._room.position(waiter),
                    expected_wait=self._room.expected_wait(waiter, self.now()),
                )
            )

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + SWEEP_SECONDS
        self._registry.evict_idle(now, SWEPT_AT_ONCE)


def _now_left(said: int | None, bucket: Bucket | None, past: float) -> float | None:
    """Give what is left now of what a provider said was left `past` seconds ago."""
    return None if said is None or bucket is None else max(0, said) + past * bucket.rate


def _cut_off() -> CallCancelled:
    return CallCancelled("the call was cut off: the event loop on which its gateway lived does not run any more")
