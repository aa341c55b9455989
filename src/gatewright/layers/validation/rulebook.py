"""The rules of a guardrail, how each of them is set, and the version that they make together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.config import RuleConfig
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.rules import PatternRule, Rule
from gatewright.types.configuration import nearest

__all__ = ["Entry", "RuleBook"]


class Entry(NamedTuple):
    """A rule with the severity and the action that hold for it."""

    rule: Rule
    severity: Severity
    action: Action | None


class RuleBook:
    """Rules that can be added to while calls are judged by them: what is read is never changed, only replaced."""

    def __init__(self, rules: Iterable[Rule] = (), settings: Mapping[str, RuleConfig] | None = None) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[Rule, ...] = tuple(rules)
        self._settings = dict(settings or {})
        self._listeners: list[Callable[[], None]] = []
        for name in self._settings:
            self._check_known(name)
        self.entries, self.version = self._made()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have `listener()` called after each change."""
        self._listeners.append(listener)

    def add(self, *rules: Rule) -> None:
        """Add rules at the end."""
        with self._lock:
            self._rules = (*self._rules, *rules)
            self.entries, self.version = self._made()
        self._tell()

    def set(self, name: str, setting: RuleConfig) -> None:
        """Set severity and action of the rule or the family `name`."""
        with self._lock:
            self._check_known(name)
            self._settings = {**self._settings, name: setting}
            self.entries, self.version = self._made()
        self._tell()

    def free_id(self, family: str) -> str:
        """Give an id that no rule has: `validator.1`, `validator.2` …"""
        taken = {rule.id for rule in self._rules}
        return next(one for number in range(1, len(taken) + 2) if (one := f"{family}.{number}") not in taken)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _check_known(self, name: str) -> None:
        known = {name for rule in self._rules for name in _names(rule.id)}
        if name not in known:
            near = nearest(name, sorted(known))
            raise ConfigurationError(
                f"rules.{name}: there is no such rule" + (f"; did you mean {near}?" if near else ""), param="rules"
            )

    def _made(self) -> tuple[tuple[Entry, ...], str]:
        entries = tuple(entry for rule in self._rules if (entry := self._entry(rule)) is not None)
        digest = blake2b(digest_size=8)
        for entry in entries:
            digest.update(repr((_content(entry.rule), entry.severity, entry.action)).encode())
        return entries, digest.hexdigest()

    def _entry(self, rule: Rule) -> Entry | None:
        severity = Severity(rule.severity)
        action = None if rule.action is None else Action(rule.action)
        for name in _names(rule.id):
            setting = self._settings.get(name)
            if setting is None:
                continue
            if not setting.enabled:
                return None
            severity = setting.severity or severity
            action = setting.action or action
        return Entry(rule, severity, action)


def _names(rule_id: str) -> list[str]:
    """Give the families a rule is of, the widest first, and its own id."""
    parts = rule_id.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _content(rule: Rule) -> tuple[Any, ...]:
    if isinstance(rule, PatternRule):
        check = rule.check
        return (
            rule.id,
            rule.pattern,
            rule.group,
            rule.label,
            None if check is None else getattr(check, "__qualname__", ""),
        )
    # What a rule of another kind is made of it says itself, where it differs from others of its id.
    return rule.id, type(rule).__qualname__, getattr(rule, "version", "")
