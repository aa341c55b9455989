"""A guardrail: rules at a level, for one side or both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

from gatewright.errors import BlockingCallRefused, ConfigurationError
from gatewright.layers.validation.automata import compiled
from gatewright.layers.validation.config import RuleConfig
from gatewright.layers.validation.findings import ValidationResult
from gatewright.layers.validation.levels import Action, Severity, ValidationLevel
from gatewright.layers.validation.output_types import rules_of_type
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.rulebook import RuleBook
from gatewright.layers.validation.rules import Context, PatternRule, Rule, Side
from gatewright.layers.validation.validators import Validator, Verdict

__all__ = ["Guardrail"]


class Guardrail:
    """Judges texts by its rules; it can be added to at any time, from any thread.

    `sides` are those on which the gateway asks it. `at(level)` is the same guardrail, more or less strict: what is
    added to one is added to the other.
    """

    def __init__(
        self,
        name: str = "default",
        rules: Iterable[Rule] = (),
        *,
        level: ValidationLevel | str = ValidationLevel.MODERATE,
        sides: Iterable[Side] = ("output",),
        settings: Mapping[str, RuleConfig] | None = None,
    ) -> None:
        self.name = name
        self.level = _level(level)
        self.sides = frozenset(sides)
        self.book = RuleBook(rules, settings)
        self._panel: tuple[str, Panel] | None = None
        self._typed: dict[str, tuple[str, Panel]] = {}

    def at(self, level: ValidationLevel | str) -> Guardrail:
        """Give this guardrail at another level."""
        other = Guardrail(self.name, level=level, sides=self.sides)
        other.book = self.book
        return other

    @property
    def version(self) -> str:
        """What it judges by, in a few characters: two of the same version judge alike."""
        return f"{self.name}:{self.level}:{','.join(sorted(self.sides))}:{self.book.version}"

    @property
    def rules(self) -> list[Rule]:
        """The rules that are on."""
        return [entry.rule for entry in self.book.entries]

    def add_rule(self, *rules: Rule) -> None:
        """Add rules; a pattern that does not compile is a `ConfigurationError`, and nothing is added."""
        for rule in rules:
            if isinstance(rule, PatternRule):
                compiled(rule.pattern)
        self.book.add(*rules)

    def add_validator(
        self,
        fn: Callable[[str], Verdict | Awaitable[Verdict]],
        name: str | None = None,
        *,
        severity: Severity | str = Severity.HIGH,
        action: Action | str | None = None,
        in_thread: bool = False,
    ) -> None:
        """Add a function of the output that gives `(right, message)`; it may be a coroutine function.

        One that raises counts as failed at STRICT and is a warning at the other levels. It runs on the event loop: a
        slow one holds up all calls, unless it awaits or is to run `in_thread`.
        """
        self.book.add(
            Validator(
                fn,
                name or self.book.free_id("validator"),
                severity=_one_of(Severity, severity, "severity"),
                action=None if action is None else _one_of(Action, action, "action"),
                in_thread=in_thread,
            )
        )

    def add_blocked_pattern(
        self,
        pattern: str,
        name: str | None = None,
        *,
        severity: Severity | str = Severity.HIGH,
        action: Action | str | None = None,
        label: str = "REDACTED",
        text: str = "a blocked pattern",
    ) -> None:
        """Add a regular expression, in RE2's syntax, that must not occur; `text` is what a finding says of it."""
        self.add_rule(
            PatternRule(
                id=name or self.book.free_id("pattern"),
                pattern=pattern,
                severity=_one_of(Severity, severity, "severity"),
                action=None if action is None else _one_of(Action, action, "action"),
                label=label,
                text=text,
            )
        )

    def set_rule(
        self,
        name: str,
        *,
        enabled: bool = True,
        severity: Severity | str | None = None,
        action: Action | str | None = None,
    ) -> None:
        """Set severity and action of a rule (`pii.email`) or a family (`pii`), or switch it off."""
        self.book.set(name, RuleConfig(enabled=enabled, severity=severity, action=action))  # type: ignore[arg-type]

    @property
    def panel(self) -> Panel:
        """This guardrail, ready to judge."""
        version = self.version
        if self._panel is None or self._panel[0] != version:
            self._panel = (version, Panel([self]))
        return self._panel[1]

    async def validate_async(
        self, output: Any, context: Mapping[str, Any] | Context | None = None, output_type: str | None = None
    ) -> ValidationResult:
        """Judge an output: a text, an answer of the gateway's, or plain data (as JSON).

        `context` is whatever validators and rules may want to know; `output_type` says what it is meant to be, such as
        `json` or `incident`.
        """
        given = _context(context, output_type)
        return await self._panel_for(given.output_type).validate(_text(output), given)

    def _panel_for(self, output_type: str | None) -> Panel:
        """Give this guardrail with the rules for outputs of a type."""
        rules = rules_of_type(output_type) if output_type is not None else ()
        if not rules or output_type is None:
            return self.panel
        known = self._typed.get(output_type)
        if known is None or known[0] != self.version:
            known = (self.version, Panel([self, Guardrail(self.name, rules, level=self.level)]))
            self._typed[output_type] = known
        return known[1]

    def validate(
        self, output: Any, context: Mapping[str, Any] | Context | None = None, output_type: str | None = None
    ) -> ValidationResult:
        """Do what `validate_async` does; where a rule has to await, not from a running event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.validate_async(output, context, output_type))
        work = self.validate_async(output, context, output_type)
        try:
            work.send(None)
        except StopIteration as done:
            return cast(ValidationResult, done.value)
        work.close()
        raise BlockingCallRefused("validate: one of the rules awaits: use validate_async on an event loop")


def _context(context: Mapping[str, Any] | Context | None, output_type: str | None) -> Context:
    if isinstance(context, Context):
        return context if output_type is None else msgspec.structs.replace(context, output_type=output_type)
    return Context(output_type=output_type, values=context or {})


def _text(output: Any) -> str:
    if isinstance(output, str):
        return output
    text = getattr(output, "text", None)
    return text if isinstance(text, str) else msgspec.json.encode(output).decode()


def _level(level: ValidationLevel | str) -> ValidationLevel:
    return _one_of(ValidationLevel, level, "level")


def _one_of(kind: Any, value: Any, what: str) -> Any:
    try:
        return kind(value.lower() if isinstance(value, str) else value)
    except ValueError:
        raise ConfigurationError(f"{what}: expected one of {', '.join(kind)}, got {value!r}", param=what) from None
