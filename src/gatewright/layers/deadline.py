"""One deadline for each call: it covers queueing, retries, fallbacks, and the reading of a stream."""

from __future__ import annotations

import asyncio
from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import DeadlineExceeded
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply

__all__ = ["DeadlineLayer"]


class DeadlineLayer:
    """Ends what goes past `call.deadline` with `DeadlineExceeded`."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed until the deadline; a stream that has begun by then is interrupted at it."""
        if call.deadline is None:
            return await proceed(call)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + call.deadline - self._clock.now()
        limit = asyncio.timeout_at(ends_at)
        try:
            async with limit:
                reply = await proceed(call)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _exceeded(call) from None
        if not reply.is_whole:
            timer = loop.call_at(ends_at, lambda: reply.interrupt(_exceeded(call)))
            reply.when_settled(lambda _: timer.cancel())
        return reply


def _exceeded(call: Call) -> DeadlineExceeded:
    seconds = (call.deadline or call.started_at) - call.started_at
    return DeadlineExceeded(
        f"the call did not end within its {seconds:g} s: give a longer timeout or ask for less",
        model=call.request.model,
        request_id=call.id,
    )
