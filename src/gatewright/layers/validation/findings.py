"""What was found in a text, and the judgement that the findings add up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.layers.validation.levels import Action, Severity, ValidationLevel

__all__ = ["Finding", "ValidationResult", "judged"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: what rule found it, how severe it is, what is done about it, and where it is.

    `message` never has the text that was found. `start` and `end` are characters of the judged text, None where the
    fault is the text as a whole; `place` says which text that was, such as `choices[0].text`.
    """

    rule: str
    message: str
    severity: Severity
    action: Action
    guardrail: str = ""
    start: int | None = None
    end: int | None = None
    label: str = ""
    place: str = ""
    mended: bool = False
    """Whether the rule itself repaired it."""

    @property
    def fatal(self) -> bool:
        """Whether the text may not pass as it is."""
        return self.action is Action.BLOCK or (self.action is Action.REPAIR and not self.mended)

    def __str__(self) -> str:
        where = f" in {self.place}" if self.place else ""
        return f"{self.rule}: {self.message}{where}"


class ValidationResult(msgspec.Struct, kw_only=True):
    """The judgement of an output.

    `errors` and `warnings` are sentences, without what was found. `score` is 1 less each finding's weight, 0 at the
    least. `text` is what may go on: redacted or repaired where the guardrail does that. `metadata` has the guardrail's
    name and version, and the output's type.
    """

    is_valid: bool
    level: ValidationLevel
    text: str
    errors: list[str] = []
    warnings: list[str] = []
    score: float = 1.0
    findings: list[Finding] = []
    metadata: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return self.is_valid


def judged(
    findings: Sequence[Finding], level: ValidationLevel, text: str, metadata: dict[str, Any] | None = None
) -> ValidationResult:
    """Add findings up: it is valid unless something is to be blocked or repaired."""
    errors = [str(finding) for finding in findings if finding.fatal]
    return ValidationResult(
        is_valid=not errors,
        level=level,
        text=text,
        errors=errors,
        warnings=[str(finding) for finding in findings if not finding.fatal],
        score=max(0.0, round(1.0 - sum(finding.severity.weight for finding in findings), 4)),
        findings=list(findings),
        metadata=metadata or {},
    )
