"""How severe a fault is, how strict a guardrail is, and what is done about it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Action", "Severity", "ValidationLevel", "action_for"]


class Severity(StrEnum):
    """How bad it would be if it passed; `high` and `critical` are severe."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def severe(self) -> bool:
        """Whether MODERATE blocks it."""
        return self in (Severity.HIGH, Severity.CRITICAL)

    @property
    def weight(self) -> float:
        """What one finding takes from the score of 1."""
        return _WEIGHTS[self]


_WEIGHTS = {Severity.LOW: 0.05, Severity.MEDIUM: 0.15, Severity.HIGH: 0.4, Severity.CRITICAL: 1.0}


class Action(StrEnum):
    """What is done about a finding."""

    BLOCK = "block"
    REDACT = "redact"
    WARN = "warn"
    REPAIR = "repair"


class ValidationLevel(StrEnum):
    """How strict a guardrail is.

    STRICT blocks every finding; MODERATE blocks the severe and redacts the rest; LENIENT lets everything through with
    warnings.
    """

    STRICT = "strict"
    MODERATE = "moderate"
    LENIENT = "lenient"


def action_for(
    level: ValidationLevel, severity: Severity, wanted: Action | None = None, *, located: bool = True
) -> Action:
    """Give what `level` does about a finding of a rule that wants `wanted` (None: whatever the level has for it).

    A finding without a place in its text (`located` is False) cannot be redacted: it is a warning where it would be.
    """
    if level is ValidationLevel.LENIENT:
        return Action.WARN
    if wanted is None:
        blocked = level is ValidationLevel.STRICT or severity.severe
        wanted = Action.BLOCK if blocked else Action.REDACT
    return Action.WARN if wanted is Action.REDACT and not located else wanted
