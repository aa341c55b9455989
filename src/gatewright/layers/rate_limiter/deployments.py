"""The limits of a deployment: its own requests, tokens and calls at once, and what its provider says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from gatewright.errors import GatewayError, RateLimited
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limit_set import LimitSet
from gatewright.layers.rate_limiter.limiter import RateLimiter
from gatewright.layers.rate_limiter.permit import Claim, Permit
from gatewright.layers.rate_limiter.waiter import Waiter
from gatewright.pipeline.call import Call
from gatewright.pipeline.cut_off import mark_as_unasked
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.pipeline.room import NoRoom
from gatewright.pipeline.settling import Outcome
from gatewright.types.deployment import Deployment
from gatewright.types.limits import LONGEST_PAUSE, ProviderLimits

__all__ = ["DeploymentLimitLayer", "DeploymentLimits"]


class DeploymentLimits:
    """Makes the limit of each deployment that has one; how calls wait, and for how long, is as for all calls."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._queueing = RateLimitConfig()
        self._limited: dict[str, Deployment] = {}
        self.held: dict[int, Permit] = {}
        """The permits of calls that have waited and are on their way to their deployment, by the call's `id()`."""
        self._waiting: dict[int, Waiter] = {}  # likewise
        self._config = lru_cache(256)(self._make_config)

    def queue_by(self, config: RateLimitConfig | None) -> None:
        """Have calls wait as `config` says, those too that wait now."""
        self._queueing = config or RateLimitConfig()
        self._config.cache_clear()
        for deployment in self._limited.values():
            self._configure(deployment)

    def layer(self, deployment: Deployment) -> DeploymentLimitLayer | None:
        """Give the layer for a deployment's attempts; None where it has no limit."""
        if deployment.rpm is None and deployment.tpm is None and deployment.max_parallel_requests is None:
            return None
        self._limited[deployment.id] = deployment
        self._configure(deployment)
        return DeploymentLimitLayer(self._limiter, deployment.id, self.held)

    def has_room(self, deployment_id: str, now: float, tokens: float = 1.0) -> bool:
        """Say whether a call of so many tokens would go through at once, or have to wait."""
        return self._limiter.has_room(deployment_id, now, tokens)

    def tokens_of(self, call: Call) -> float:
        """Give the tokens for which a call needs room."""
        return self._limiter.meter.expected(call)

    async def first(self, call: Call, deployments: Sequence[str]) -> str:
        """Wait for the first of these deployments that has room, hold it for the call, and give its id."""
        tokens, waiting = self.tokens_of(call), self._waiting

        def entered(waiter: Waiter) -> None:
            waiting[id(call)] = waiter

        try:
            claims = [_claim(call, one, tokens) for one in deployments]
            claim, permit = await self._limiter.admit_to_any(claims, entered)
        finally:
            waiting.pop(id(call), None)
        self.held[id(call)] = permit
        assert claim.deployment is not None
        return claim.deployment

    def join(self, call: Call, deployment: str) -> bool:
        """Have a call that waits wait at one more deployment; True where it goes there now."""
        waiter = self._waiting.get(id(call))
        return waiter is not None and self._limiter.join(waiter, _claim(call, deployment, waiter.claim.tokens))

    def give_back(self, call: Call) -> None:
        """Give back what is still held for a call: it did not go to the deployment, or that has no limits."""
        permit = self.held.pop(id(call), None)
        if permit is not None:
            permit.cancel()

    def turn_away(self, deployment_id: str, error: Callable[[], GatewayError]) -> None:
        """Have nobody wait for a deployment to which no call may go now: `error` is what they get."""
        self._limiter.turn_away(deployment_id, error)

    def in_use(self, deployment_id: str) -> bool:
        """Say whether a deployment's limit would be another if it was made anew."""
        limiter = self._limiter
        return any(not limit.is_idle(limiter.now()) for limit in limiter.limit_of(deployment_id))

    def forget(self, deployment_id: str) -> None:
        """Let go of the limit of a deployment that is not asked any more."""
        self._limited.pop(deployment_id, None)
        self._limiter.configure("deployment", deployment_id, None)

    def _configure(self, deployment: Deployment) -> None:
        config = self._config(deployment.rpm, deployment.tpm, deployment.max_parallel_requests)
        self._limiter.configure("deployment", deployment.id, config)

    def _make_config(self, rpm: int | None, tpm: int | None, at_once: int | None) -> RateLimitConfig:
        queueing = self._queueing
        return RateLimitConfig(
            requests_per_minute=rpm,
            tokens_per_minute=tpm,
            max_concurrent=at_once,
            enable_queuing=queueing.enable_queuing,
            queue_timeout=queueing.queue_timeout,
            max_queue_size=queueing.max_queue_size,
        )


class DeploymentLimitLayer:
    """Admits each attempt at one deployment, and lets the provider's own signals steer its limit.

    Nobody waits in here, where the circuit breaker has let the call through already: `held` is the room of those who
    have waited before.
    """

    def __init__(self, limiter: RateLimiter, deployment_id: str, held: dict[int, Permit]) -> None:
        self._limiter = limiter
        self._held = held
        self._id = deployment_id
        self._limits = limiter.limit_of(deployment_id)

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed where the deployment's limit has room; `NoRoom` where it has not."""
        limiter, limits = self._limiter, self._limits
        meter = limiter.meter
        permit = self._held.pop(id(call), None) if self._held else None
        if permit is None:
            if not limits.is_current:
                limits = self._limits = limiter.limit_of(self._id)
            if not limits.all:
                return await proceed(call)
            tokens = meter.expected(call)
            permit = limiter.try_admit(limits, tokens, limiter.now()) or await self._asked_for(limits, tokens)
        try:
            reply = await proceed(call)
        except BaseException as error:
            # First the pause: whoever is called up by what this gives back must meet it.
            self._obey(error, permit)
            meter.settle_failed(permit, call, error)
            raise
        # The provider's word is taken before the call is settled, so that nobody goes by what is put back then.
        left = reply.limits
        if reply.is_whole:
            if left is not None:
                limiter.correct(self._id, left, to_come=meter.unused(permit, call, reply.given))
            meter.charge(permit, call, reply.given)  # there is nothing to come
        else:
            reply.when_settled(lambda outcome: meter.settle(permit, call, outcome))
            if left is not None:
                self._believe(left, reply, permit, call)
        return reply

    def _believe(self, left: ProviderLimits, reply: Reply[Any, Any], permit: Permit, call: Call) -> None:
        limiter, said_at = self._limiter, self._limiter.now()
        limiter.correct(self._id, left)

        def still_believe(outcome: Outcome[Any]) -> None:
            unused = limiter.meter.unused(permit, call, outcome.value)
            limiter.correct(self._id, left, said_at=said_at, to_come=unused)

        reply.when_settled(still_believe)

    async def _asked_for(self, limits: LimitSet, tokens: float) -> Permit:
        try:
            permit = await self._limiter.ask(limits, tokens)
        except asyncio.CancelledError as error:
            mark_as_unasked(error)
            raise
        if permit is None:
            raise NoRoom(f"the limit of the deployment {self._id} has no room now")
        return permit

    def _obey(self, error: BaseException, permit: Permit) -> None:
        if not isinstance(error, RateLimited) or not error.asked:
            return
        if error.retry_after is not None:
            self._limiter.pause(self._id, self._limiter.now() + min(error.retry_after, LONGEST_PAUSE))
        if error.limits is not None:
            self._limiter.correct(self._id, error.limits, to_come=permit.tokens)  # a refused call puts back all


def _claim(call: Call, deployment_id: str, tokens: float) -> Claim:
    return Claim(
        call_id=call.id,
        tokens=tokens,
        tenant=call.caller.tenant_id,
        model=call.request.model,
        deployment=deployment_id,
        deadline=call.deadline,
    )
