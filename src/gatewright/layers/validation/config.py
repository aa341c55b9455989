"""What a guardrail is made of, as it is configured."""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field, field_validator

from gatewright.layers.validation.levels import Action, Severity, ValidationLevel
from gatewright.layers.validation.reasking import ReaskingConfig
from gatewright.layers.validation.rules import Side
from gatewright.types.configuration import Config

__all__ = ["GuardrailConfig", "PatternConfig", "RuleConfig", "ValidationConfig"]


class RuleConfig(Config):
    """How one rule, or a family of them, is taken: `severity` and `action` override the rule's own."""

    enabled: bool = True
    severity: Severity | None = None
    action: Action | None = None


class PatternConfig(Config):
    """A pattern that is not let through: a regular expression in RE2's syntax; `text` is what a finding says of it."""

    pattern: str = Field(min_length=1)
    name: str | None = None
    severity: Severity = Severity.HIGH
    action: Action | None = None
    label: str = Field(default="REDACTED", pattern=r"^[A-Z][A-Z0-9_]*$")
    text: str = ""


class GuardrailConfig(Config):
    """A guardrail: for which tenants, models and routes (all where none is named; `*` in them stands for anything).

    `use` names sources of rules (`secrets`, `pii`, `names`, `markup`, formats, packs), each alone or with its settings:
    `["secrets", {"pii": {"countries": ["DE"]}}]`. `rules` sets severity and action by a rule's id (`pii.email`) or its
    family (`pii`). `blocked_topics` maps a topic to words that give it away. Routes are `chat`, `completions` and
    `embeddings`.
    """

    name: str = Field(min_length=1)
    level: ValidationLevel | None = None
    on: list[Side] = Field(default=["output"], min_length=1)
    tenants: list[str] = []
    models: list[str] = []
    routes: list[str] = []
    use: list[str | dict[str, Any]] = []
    rules: dict[str, RuleConfig] = {}
    blocked_patterns: list[PatternConfig] = []
    blocked_topics: dict[str, list[str]] = {}

    @field_validator("on", "tenants", "models", "routes", "use", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Take one for a list of one."""
        return [value] if isinstance(value, str) else value

    @field_validator("blocked_patterns", mode="before")
    @classmethod
    def _patterns(cls, value: Any) -> Any:
        """Take a text for a pattern."""
        if not isinstance(value, list):
            return value
        return [{"pattern": one} if isinstance(one, str) else one for one in cast("list[Any]", value)]


class ValidationConfig(Config):
    """The guardrails beside the default one (or in its place, where one is named `default`), in code or in a file.

    `file` is a YAML file of the same settings. `repair` is how often a model is asked again for an answer that failed.
    """

    file: str | None = None
    guardrails: list[GuardrailConfig] = []
    repair: ReaskingConfig = ReaskingConfig()
