"""Findings as events, warnings and errors: what each says is where something was found, never what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatewright.errors import InputRejected, ValidationFailed
from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.rules import Side
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events, GuardTripped
from gatewright.types.results import Answer

__all__ = ["failed", "rejected", "tell", "warnings_of"]


def tell(events: Events, call: Call, side: Side, findings: Sequence[Finding], sent: int | None = None) -> None:
    """Emit an event for each finding, where anybody hears it."""
    if not findings or not events.hears(GuardTripped):
        return
    for finding in findings:
        events.emit(
            GuardTripped(
                call_id=call.id,
                guardrail=finding.guardrail,
                rule=finding.rule,
                severity=finding.severity.value,
                action=finding.action.value,
                side=side,
                place=finding.place,
                sent=sent,
            )
        )


def warnings_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Give a sentence for each finding that is let through."""
    return tuple(str(finding) for finding in findings if not finding.fatal)


def rejected(call: Call, findings: Sequence[Finding]) -> InputRejected:
    """Make the error of a request that may not go in."""
    fatal = [finding for finding in findings if finding.fatal]
    return InputRejected(
        f"the guardrail {fatal[0].guardrail} does not let this in: {_told(fatal)}",
        errors=[str(finding) for finding in fatal],
        findings=findings,
        model=call.request.model,
        request_id=call.id,
        param=fatal[0].place or None,
    )


def failed(call: Call, findings: Sequence[Finding], answer: Answer, sent: int = 0) -> ValidationFailed:
    """Make the error of an answer that may not go out; `answer` is as it may be shown."""
    fatal = [finding for finding in findings if finding.fatal]
    so_far = f" after {sent} characters" if sent else ""
    context: dict[str, Any] = {"provider": answer.provider or None, "model": answer.model, "request_id": call.id}
    return ValidationFailed(
        f"the guardrail {fatal[0].guardrail} stopped the answer{so_far}: {_told(fatal)}",
        errors=[str(finding) for finding in fatal],
        findings=findings,
        text=answer.choices[0].text if answer.choices else "",
        sent=sent,
        **context,
    )


def _told(findings: Sequence[Finding]) -> str:
    shown = "; ".join(str(finding) for finding in findings[:3])
    return shown if len(findings) <= 3 else f"{shown}; and {len(findings) - 3} more"
