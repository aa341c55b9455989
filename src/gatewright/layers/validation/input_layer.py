"""Guards on the way in: what a model must not be sent does not reach it, nor the cache."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.manager import ValidationManager
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.pieces import Piece, context_of, request_texts, route_of, with_texts
from gatewright.layers.validation.redaction import Placeholders
from gatewright.layers.validation.telling import rejected, tell, warnings_of
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import EmbedRequest, Request

__all__ = ["InputGuardLayer"]


class InputGuardLayer:
    """Judges what is asked by the guardrails that hold for it: refuses it, or sends it on, redacted or not."""

    def __init__(self, manager: ValidationManager, events: Events) -> None:
        self._manager = manager
        self._events = events

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed with what may go in, or raise `InputRejected`."""
        request = call.request
        panel = self._manager.panel("input", call.caller.tenant_id, request.model, route_of(request))
        if panel is None:
            return await proceed(call)
        request, findings = await _judged(panel, call)
        if not findings:
            return await proceed(call)
        tell(self._events, call, "input", findings)
        if any(finding.fatal for finding in findings):
            raise rejected(call, findings)
        reply = await proceed(call if request is call.request else call.replace(request=request))
        reply.warnings = (*reply.warnings, *warnings_of(findings))
        return reply


async def _judged(panel: Panel, call: Call) -> tuple[Request, list[Finding]]:
    placeholders = Placeholders()
    findings = _unreadable(panel, call.request)

    def scanned(piece: Piece) -> str:
        text, found = panel.scan(piece.text, piece.place, placeholders)
        findings.extend(found)
        return text if found else piece.text

    if not panel.awaits:
        return with_texts(call.request, scanned), findings
    given: dict[str, str] = {}
    context = context_of(call, "input")
    for piece in request_texts(call.request):
        of_kind = context if piece.kind == "text" else msgspec.structs.replace(context, kind=piece.kind)
        text, found = await panel.judge(piece.text, of_kind, piece.place, placeholders)
        findings.extend(found)
        given[piece.place] = text if found else piece.text
    return with_texts(call.request, lambda piece: given[piece.place]), findings


def _unreadable(panel: Panel, request: Request) -> list[Finding]:
    """Report tokens in the place of texts: they would pass every rule unread."""
    given: Any = request.inputs if isinstance(request, EmbedRequest) else request.prompt
    if isinstance(given, str) or not given or all(isinstance(one, str) for one in given):
        return []
    return [
        Finding(
            rule="tokens",
            message="tokens cannot be judged: send text",
            severity=Severity.HIGH,
            action=Action.WARN if panel.lenient else Action.BLOCK,
            guardrail=panel.names,
            place="inputs" if isinstance(request, EmbedRequest) else "prompt",
        )
    ]
