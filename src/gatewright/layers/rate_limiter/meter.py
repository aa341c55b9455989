"""How many tokens a call is charged: what is expected before it, and what it used by how it ended."""

from __future__ import annotations

import logging
from typing import Any

from gatewright.errors import (
    CallCancelled,
    DeadlineExceeded,
    InvalidProviderResponse,
    ProviderTimeout,
    StreamInterrupted,
)
from gatewright.layers.rate_limiter.estimator import OutputEstimator, prompt_tokens
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.pipeline.call import Call
from gatewright.pipeline.cut_off import was_asked
from gatewright.pipeline.settling import Outcome
from gatewright.types.estimates import text_tokens
from gatewright.types.requests import GenerateRequest, Request
from gatewright.types.results import Answer
from gatewright.types.usage import Usage

__all__ = ["TokenMeter"]

log = logging.getLogger("gatewright.limits")

# The provider was at work when these ended the call, or had answered something: it has read the prompt. How much it
# wrote is not known, and nobody had it. After any other error before the reply it is taken to have used nothing.
AT_WORK = (CallCancelled, DeadlineExceeded, InvalidProviderResponse, ProviderTimeout, StreamInterrupted)


# OpenAI's own bound on `n`: what asks for more is refused there, and is not to drain a shared limit until then.
MOST_ANSWERS = 128


class TokenMeter:
    """Estimates, counts, and learns from the difference."""

    # A call that need not wait is asked for twice in a row, and its answer charged twice: by its own limits, and by the
    # deployment's. What was found for the one is kept for the other.
    __slots__ = ("_charged", "_request", "_tokens", "_used", "_value", "estimator")

    def __init__(self, estimator: OutputEstimator) -> None:
        self.estimator = estimator
        self._request: Request | None = None
        self._tokens = 0.0
        self._charged = ""
        self._value: Any = None
        self._used = 0

    def expected(self, call: Call) -> float:
        """Give the tokens to reserve: the prompt, and for each of the `n` answers the expected output."""
        request = call.request
        if request is self._request:
            return self._tokens
        tokens = prompt_tokens(request)
        if isinstance(request, GenerateRequest):
            params = request.params
            asked = params.get("max_completion_tokens") or params.get("max_tokens")
            maximum = asked if isinstance(asked, int) else None
            output = self.estimator.estimate(call.caller.tenant_id, request.model, maximum)
            if "n" in params and isinstance(answers := params["n"], int) and answers > 0:
                output *= min(answers, MOST_ANSWERS)
            tokens += output
        self._request = request
        self._tokens = reserved = float(tokens)  # the interpreter is slow with numbers of two kinds
        return reserved

    def settle(self, permit: Permit, call: Call, outcome: Outcome[Any]) -> None:
        """Charge what a stream used until its end, whatever that was; only one that completed is learned from."""
        self.charge(permit, call, outcome.value, learn=outcome.state == "completed")

    def charge(self, permit: Permit, call: Call, value: Any, learn: bool = True) -> None:
        """Charge what was used, by the usage that came; where none came, by the text."""
        if value is self._value and call.id == self._charged:
            permit.settle(self._used)
            self._value = None
            return
        self._request = None
        try:
            used, written = _used_and_written(call, value)
        except Exception:
            # A provider's own kind of value: the permit must not be lost with it.
            permit.settle(None)
            log.exception("settling a reply failed: its tokens cannot be counted")
            return
        permit.settle(used)
        if learn and type(value) is Answer:
            answers = len(value.choices)
            each = written if answers < 2 else written // answers
            self.estimator.learn(call.caller.tenant_id, call.request.model, each)
        self._value, self._used, self._charged = value, used, call.id

    def unused(self, permit: Permit, call: Call, value: Any) -> float:
        """Give the tokens that will be put back when an answer is charged; below zero they will be owed."""
        try:
            return permit.tokens - _used_and_written(call, value)[0]
        except Exception:  # noqa: BLE001 - a provider's own kind of value: `charge` tells of it
            return 0.0

    def settle_failed(self, permit: Permit, call: Call, error: BaseException) -> None:
        """Charge what was used of a call that has no reply; its request stays charged, unless it was never sent."""
        if was_asked(error):
            at_work = not isinstance(error, Exception) or isinstance(error, AT_WORK)
            permit.settle(prompt_tokens(call.request) if at_work else 0)
        else:
            permit.cancel()


def _used_and_written(call: Call, value: Any) -> tuple[int, int]:
    usage: Usage = value.usage
    written = usage.completion_tokens
    used = usage.total_tokens or usage.prompt_tokens + written
    if used <= 0:
        written = _written(value)
        used = prompt_tokens(call.request) + written
    return used, written


def _written(value: Any) -> int:
    """Estimate the tokens of an answer, or of what came of it; vectors are none."""
    if not isinstance(value, Answer):
        return 0
    return sum(
        text_tokens(choice.text)
        + text_tokens(choice.reasoning or "")
        + text_tokens(choice.refusal or "")
        + sum(text_tokens(tool.name) + text_tokens(tool.arguments) for tool in choice.tool_calls)
        for choice in value.choices
    )
