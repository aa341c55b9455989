"""The limits of a call: everyone's, its tenant's, its model's, its tenant's of that model, and its key's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatewright.layers.rate_limiter.limiter import RateLimiter
from gatewright.layers.rate_limiter.permit import Claim
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply

__all__ = ["RateLimitLayer"]


class RateLimitLayer:
    """Admits each call once, however many attempts are made for it, and charges it what it used.

    `name_of` gives the name under which a model's limit is kept, so that an alias shares it; a fallback is charged to
    the model that was asked for.
    """

    def __init__(self, limiter: RateLimiter, name_of: Callable[[str], str] = str) -> None:
        self._limiter = limiter
        self._name_of = name_of

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed when all limits that apply have room."""
        limiter, caller, model = self._limiter, call.caller, self._name_of(call.request.model)
        limits = limiter.limits_of(caller.tenant_id, model, caller.key_id)
        if not limits:
            return await proceed(call)
        meter = limiter.meter
        tokens = meter.expected(call)
        permit = limiter.try_admit(limits, tokens)
        if permit is None:
            permit = await limiter.admit(
                Claim(
                    call_id=call.id,
                    tokens=tokens,
                    tenant=caller.tenant_id,
                    model=model,
                    key=caller.key_id,
                    deadline=call.deadline,
                )
            )
        try:
            reply = await proceed(call)
        except BaseException as error:
            meter.settle_failed(permit, call, error)
            raise
        if reply.is_whole:
            meter.charge(permit, call, reply.partial(), completed=True)  # there is nothing to come
        else:
            reply.when_settled(lambda outcome: meter.settle(permit, call, outcome))
        return reply
