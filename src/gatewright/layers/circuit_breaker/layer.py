"""The attempt stack's circuit breaker."""

from __future__ import annotations

from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.layers.circuit_breaker.guard import DeploymentBreaker
from gatewright.pipeline.call import Call
from gatewright.pipeline.cut_off import reason_of
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply

__all__ = ["CircuitBreakerLayer"]


class CircuitBreakerLayer:
    """Lets a call through to a deployment or refuses it, and tells its breaker once how the call ended.

    A failure speaks for itself. A whole answer is a success when it is there, a stream when it has come to its end:
    one that breaks for the deployment's fault is a failure, one that its reader left is neither. A probe's stream is
    a success at its first chunk: an answer of ten minutes must not keep the traffic away for ten minutes.
    """

    __slots__ = ("_guard", "_now")

    def __init__(self, guard: DeploymentBreaker, clock: Clock = MONOTONIC) -> None:
        self._guard = guard
        self._now = clock.now

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed, or raise `ProviderUnavailable` (`asked` is False) that says when the next probe may go."""
        guard = self._guard
        breaker = guard.breaker
        permit = breaker.generation if breaker.state == "closed" else await guard.probe()
        try:
            reply = await proceed(call)
        except Exception as error:
            guard.failed(permit, error)
            raise
        except BaseException as error:
            reason = reason_of(error, call, self._now())
            if reason is None:
                guard.given_up(permit)
            else:
                guard.failed(permit, reason)
            raise
        if reply.is_whole or breaker.state != "closed":
            breaker.record_success(permit, self._now())
            if guard.waiting:
                guard.wake()
        else:
            reply.when_settled(lambda outcome: guard.settled(permit, outcome))
        return reply
