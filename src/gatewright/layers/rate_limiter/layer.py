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


MAX_NAMES = 4096


class RateLimitLayer:
    """Admits each call once, however many attempts are made for it, and charges it what it used.

    `name_of` gives the name under which a model's limit is kept, always the same, so that an alias shares it; a
    fallback is charged to the model that was asked for.
    """

    def __init__(self, limiter: RateLimiter, name_of: Callable[[str], str] = str) -> None:
        self._limiter = limiter
        self._name_of = name_of
        self._names: dict[str, str] = {}

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed when all limits that apply have room."""
        limiter, caller, asked = self._limiter, call.caller, call.request.model
        now = limiter.now()
        model = self._names.get(asked) or self._name(asked)
        limits = limiter.limits_of(caller.tenant_id, model, caller.key_id, now)
        if not limits.all:
            return await proceed(call)
        meter = limiter.meter
        tokens = meter.expected(call)
        permit = limiter.try_admit(limits, tokens, now) or await limiter.admit(_claim(call, model, tokens))
        try:
            reply = await proceed(call)
        except BaseException as error:
            meter.settle_failed(permit, call, error)
            raise
        if reply.is_whole:
            meter.charge(permit, call, reply.given)  # there is nothing to come
        else:
            reply.when_settled(lambda outcome: meter.settle(permit, call, outcome))
        return reply

    def _name(self, asked: str) -> str:
        if len(self._names) >= MAX_NAMES:
            self._names.clear()
        name = self._names[asked] = self._name_of(asked)
        return name


def _claim(call: Call, model: str, tokens: float) -> Claim:
    caller = call.caller
    return Claim(
        call_id=call.id,
        tokens=tokens,
        tenant=caller.tenant_id,
        model=model,
        key=caller.key_id,
        deadline=call.deadline,
    )
