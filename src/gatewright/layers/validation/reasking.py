"""Bounded repair: the model is asked again, with what was wrong, so often and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec
from pydantic import Field

from gatewright.clock import Clock
from gatewright.errors import GatewayError
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.levels import Action
from gatewright.layers.validation.repairing import Judge, Repaired
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.types.configuration import Config
from gatewright.types.requests import GenerateRequest, Message
from gatewright.types.results import Answer, Choice

__all__ = ["Reasking", "ReaskingConfig", "asked_again"]

MOST_NAMED = 20
"""How many faults the model is told of at once."""

_PLACE = re.compile(r"^choices\[(\d+)\]")


class ReaskingConfig(Config):
    """How often a model is asked again for an answer that failed, and how much that may cost.

    `max_asks` is for the whole call, whatever the number of its choices; 0 is never. `max_tokens` and `max_cost_usd`
    are for all of them together: where they are spent, no more is asked. All of it is within the call's deadline.
    """

    max_asks: int = Field(default=2, ge=0, le=10)
    max_tokens: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, gt=0)


class Reasking:
    """Asks the model again; `wanted(finding)` says what a text has to be like, where the rule can tell."""

    def __init__(self, config: ReaskingConfig, clock: Clock, wanted: Callable[[Finding], str]) -> None:
        self._config = config
        self._clock = clock
        self._wanted = wanted

    async def __call__(
        self, call: Call, proceed: Handler, answer: Answer, findings: Sequence[Finding], judge: Judge, /
    ) -> Repaired:
        """Ask again for each choice that failed; what a request fails with ends it, and the last answer stays."""
        work = _Repair(answer, list(findings))
        request = call.request
        if not isinstance(request, GenerateRequest) or request.style != "chat":
            return work.repaired  # a text to be continued has no turns
        began, now = call.started_at, self._clock.now()
        while (choice := work.choice) is not None and work.asks < self._config.max_asks:
            if self._is_spent(work) or (call.deadline is not None and call.deadline - now <= now - began):
                break
            began = now
            failed = [finding for finding in work.findings if _index(finding) == choice.index and finding.fatal]
            again = asked_again(request, choice, failed, map(self._wanted, failed), work.asks + 1)
            try:
                await work.ask(call.replace(request=again, stream=False), proceed, choice.index, judge)
            except GatewayError as error:
                # On record as an attempt. The caller is told what is wrong with the answer, not why there is no other.
                work.attempts += error.attempts
                break
            now = self._clock.now()
        return work.repaired

    def _is_spent(self, work: _Repair) -> bool:
        tokens, cost = self._config.max_tokens, self._config.max_cost_usd
        return (tokens is not None and work.tokens >= tokens) or (cost is not None and work.cost >= cost)


class _Repair:
    """One answer under repair: as it is now, what is wrong with it, and what it has cost until now."""

    def __init__(self, answer: Answer, findings: list[Finding]) -> None:
        self.answer = answer
        self.findings = findings
        self.asks = 0
        self.attempts = 0
        self.tokens = 0
        self.cost = 0.0

    @property
    def choice(self) -> Choice | None:
        """The first choice that asking again can help; None where there is none, or one is blocked in any case."""
        fatal = [finding for finding in self.findings if finding.fatal]
        if any(finding.action is Action.BLOCK for finding in fatal):
            return None
        wrong = {_index(finding) for finding in fatal}
        return next((choice for choice in self.answer.choices if choice.index in wrong), None)

    @property
    def repaired(self) -> Repaired:
        return Repaired(self.answer, self.findings, self.attempts)

    async def ask(self, call: Call, proceed: Handler, index: int, judge: Judge) -> None:
        self.asks += 1
        reply = await proceed(call)
        async with reply:
            again: Answer = await reply.value()
        self.attempts += reply.attempts
        self.tokens += again.usage.total_tokens
        self.cost += again.cost_usd or 0.0
        judged, found = await judge(again)
        self._take(index, judged, found)

    def _take(self, index: int, judged: Answer, found: Sequence[Finding]) -> None:
        """Put the new choice in the place of the old one, and its findings in the place of those."""
        old, new = self.answer, judged.choices[0]
        choice = msgspec.structs.replace(new, index=index)
        costs = (old.cost_usd, judged.cost_usd)
        self.answer = msgspec.structs.replace(
            judged,
            choices=[choice if one.index == index else one for one in old.choices],
            usage=old.usage + judged.usage,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            raw=judged.raw if len(old.choices) == 1 else None,
        )
        kept = [finding for finding in self.findings if _index(finding) != index]
        self.findings = kept + [_moved(finding, index) for finding in found if _index(finding) == new.index]


def asked_again(
    request: GenerateRequest, choice: Choice, findings: Sequence[Finding], wanted: Iterable[str] = (), number: int = 1
) -> GenerateRequest:
    """Give the request for a better answer: the messages, the answer as it was, and what is wrong with it.

    From the second time on its `number` is said: the same words would only bring the same answer again.
    """
    faults = list(dict.fromkeys(f"- {finding.message}" for finding in findings))
    if len(faults) > MOST_NAMED:
        faults = [*faults[:MOST_NAMED], f"- and {len(faults) - MOST_NAMED} more"]
    sentences = list(dict.fromkeys(one for one in wanted if one))
    said = "\n".join(
        [
            "Your answer cannot be used as it is:" if number == 1 else f"For the {number}. time, it cannot be used:",
            *faults,
            *(["", *sentences] if sentences else []),
            "",
            "Give the whole answer again, corrected, and nothing else. Do not invent what you do not know.",
        ]
    )
    answered: list[Message] = [{"role": "assistant", "content": choice.text}] if choice.text else []
    return msgspec.structs.replace(
        request,
        messages=[*request.messages, *answered, {"role": "user", "content": said}],
        params={name: value for name, value in request.params.items() if name != "n"},
    )


def _index(finding: Finding) -> int:
    """Give the index of the choice that a finding is in; one without a place is in the first."""
    match = _PLACE.match(finding.place)
    return int(match[1]) if match is not None else 0


def _moved(finding: Finding, index: int) -> Finding:
    return msgspec.structs.replace(finding, place=_PLACE.sub(f"choices[{index}]", finding.place))
