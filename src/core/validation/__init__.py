"""Validation and guardrails, by the SDK's path."""

from gatewright.layers.validation.config import GuardrailConfig, PatternConfig, RuleConfig, ValidationConfig
from gatewright.layers.validation.findings import Finding, ValidationResult
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import Action, Severity, ValidationLevel
from gatewright.layers.validation.manager import ValidationManager
from gatewright.layers.validation.rules import Context, PatternRule, Problem, TextRule

__all__ = [
    "Action",
    "Context",
    "Finding",
    "Guardrail",
    "GuardrailConfig",
    "PatternConfig",
    "PatternRule",
    "Problem",
    "RuleConfig",
    "Severity",
    "TextRule",
    "ValidationConfig",
    "ValidationLevel",
    "ValidationManager",
    "ValidationResult",
]
