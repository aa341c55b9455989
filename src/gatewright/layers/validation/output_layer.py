"""Guards on the way out: what a model may not say does not reach its caller, whole or streamed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

from gatewright.errors import StreamInterrupted, ValidationFailed
from gatewright.layers.validation.answers import judge_answer
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.formats.response import asks_for_form
from gatewright.layers.validation.levels import Action
from gatewright.layers.validation.manager import ValidationManager
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.pieces import request_texts, route_of
from gatewright.layers.validation.redaction import Placeholders
from gatewright.layers.validation.repairing import Repairer
from gatewright.layers.validation.streaming import GuardedChunks
from gatewright.layers.validation.telling import failed, tell
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.failing import failing
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Chunk

__all__ = ["OutputGuardLayer"]


class OutputGuardLayer:
    """Judges what is answered by the guardrails that hold for the call.

    A stream goes on while it is judged, where no rule has to see all of it; it is held back as a whole otherwise.
    """

    def __init__(self, manager: ValidationManager, events: Events, repairer: Repairer | None = None) -> None:
        self._manager = manager
        self._events = events
        self._repairer = repairer

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Give the answer as it may go out; one that may not fails with `ValidationFailed`."""
        request = call.request
        if isinstance(request, EmbedRequest):
            return await proceed(call)
        panel = self._manager.panel("output", call.caller.tenant_id, request.model, route_of(request))
        if panel is None:
            return await proceed(call)
        if "response_format" in request.params and asks_for_form(request):
            panel = panel.of_forms
        reply = await proceed(call)
        if reply.is_whole or panel.holds_streams:
            return await self._whole(panel, call, proceed, reply)
        fold = _GuardedFold(reply)
        batches = self._seen(panel, call, reply, fold) if panel.lenient else self._released(panel, call, reply, fold)
        return Reply(batches, fold).like(reply)

    async def _whole(self, panel: Panel, call: Call, proceed: Handler, reply: Reply[Any, Answer]) -> Reply[Any, Answer]:
        async with reply:
            answer = await reply.value()
        placeholders = _placeholders_after(call)

        async def judge(one: Answer) -> tuple[Answer, list[Finding]]:
            judgement = await judge_answer(panel, call, one, placeholders)
            tell(self._events, call, "output", judgement[1], 0 if call.stream else None)
            return judgement

        passed, findings = await judge(answer)
        if not findings:
            return reply if reply.is_whole else Reply.whole(answer, chunks_of).like(reply)
        attempts = 0
        if self._repairer is not None and _is_to_be_repaired(findings):
            passed, findings, attempts = await self._repairer(call, proceed, passed, findings, judge)
        if any(finding.fatal for finding in findings):
            ending: Reply[Chunk, Answer] = failing(passed, failed(call, findings, passed))
        else:
            ending = Reply.whole(passed, chunks_of)
        ending.like(reply)
        ending.attempts += attempts
        return ending

    async def _released(
        self, panel: Panel, call: Call, reply: Reply[Chunk, Answer], fold: _GuardedFold
    ) -> AsyncGenerator[list[Chunk], None]:
        """Give what may go out as soon as that is known; end where something may not."""
        guarded = GuardedChunks(panel, _placeholders_after(call))
        try:
            async with reply:
                while batch := await reply.batch():
                    out: list[Chunk] = []
                    for chunk in batch:
                        made = guarded.feed(chunk)
                        if guarded.findings and (error := self._judged(call, guarded, fold, out)) is not None:
                            if out:
                                yield out
                            raise error
                        if made is not None:
                            out.append(made)
                    if out:
                        yield out
        except StreamInterrupted as error:
            error.text = fold.text  # of the rest nobody knows whether it may be read
            raise
        rest = guarded.finish()
        if guarded.findings and (error := self._judged(call, guarded, fold, [])) is not None:
            raise error
        if rest:
            yield rest
        if panel.awaits and (warned := await self._warned(panel.of_wholes, call, fold)):
            yield warned

    def _judged(
        self, call: Call, guarded: GuardedChunks, fold: _GuardedFold, out: list[Chunk]
    ) -> ValidationFailed | None:
        """Tell what was found; give the error where it ends the stream."""
        findings, guarded.findings = guarded.findings, []
        answer = fold.value()
        sent = sum(len(choice.text) for choice in answer.choices) + sum(len(chunk.text) for chunk in out)
        tell(self._events, call, "output", findings, sent)
        return failed(call, findings, answer, sent) if any(finding.fatal for finding in findings) else None

    async def _seen(
        self, panel: Panel, call: Call, reply: Reply[Chunk, Answer], fold: _GuardedFold
    ) -> AsyncGenerator[list[Chunk], None]:
        """Let everything through, and say at the end what was found."""
        async with reply:
            while batch := await reply.batch():
                yield batch
        if warned := await self._warned(panel, call, fold):
            yield warned

    async def _warned(self, panel: Panel, call: Call, fold: _GuardedFold) -> list[Chunk]:
        """Judge what has gone out, and give its warnings as chunks."""
        passed, findings = await judge_answer(panel, call, fold.value(), Placeholders())
        tell(self._events, call, "output", findings)
        return [Chunk(index=one.index, warnings=one.warnings) for one in passed.choices if one.warnings]


class _GuardedFold(AnswerFold):
    """Adds up what has gone out; where it came from and what it cost is the provider's stream's."""

    __slots__ = ("_source",)

    def __init__(self, source: Reply[Chunk, Answer]) -> None:
        super().__init__(model="", provider="")
        self._source = source

    def value(self) -> Answer:
        """Give the answer as far as it has gone out."""
        out, source = super().value(), self._source.partial()
        out.model, out.provider, out.deployment_id = source.model, source.provider, source.deployment_id
        out.usage, out.cost_usd = source.usage, source.cost_usd
        out.id, out.created, out.system_fingerprint = source.id, source.created, source.system_fingerprint
        return out


def _is_to_be_repaired(findings: list[Finding]) -> bool:
    """Say whether there is something that asking again may mend, and nothing that is simply forbidden."""
    fatal = [finding for finding in findings if finding.fatal]
    return bool(fatal) and all(finding.action is Action.REPAIR for finding in fatal)


_PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)_(\d+)>")


def _placeholders_after(call: Call) -> Placeholders:
    """Give placeholders whose numbers are not in the request: there they stand for something else."""
    placeholders = Placeholders()
    for piece in request_texts(call.request):
        if "<" in piece.text:
            for label, number in _PLACEHOLDER.findall(piece.text):
                placeholders.skip(label, int(number))
    return placeholders
