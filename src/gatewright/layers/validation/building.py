"""From a configuration to guardrails; whatever is wrong in it is an error here, and never in a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.automata import compiled
from gatewright.layers.validation.config import GuardrailConfig, PatternConfig, ValidationConfig
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import Severity, ValidationLevel
from gatewright.layers.validation.registered import Registered
from gatewright.layers.validation.rules import PatternRule, Rule
from gatewright.layers.validation.sources import rules_of
from gatewright.types.written import Written, read_file

__all__ = ["DEFAULT_GUARDRAIL", "guardrails_of"]

DEFAULT_GUARDRAIL = GuardrailConfig(name="default", use=["secrets", "pii"])
"""What holds where nothing is configured: no secrets and no personal data in what the models say."""


def guardrails_of(config: ValidationConfig, level: ValidationLevel) -> list[Registered]:
    """Make the guardrails of a configuration and of its file; those without a level of their own have `level`."""
    made = list(_all(config.guardrails, level, "validation."))
    if config.file is not None:
        made += _written(read_file(config.file), level)
    names = [one.guardrail.name for one in made]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"validation.guardrails: there are two named {twice!r}", param="validation")
    return made if "default" in names else [*_all([DEFAULT_GUARDRAIL], level, ""), *made]


def _written(written: Written, level: ValidationLevel) -> list[Registered]:
    config = written.read(ValidationConfig)
    if config.file is not None:
        raise written.mapping()["file"].fault("a file of guardrails names no other")
    try:
        return list(_all(config.guardrails, level, ""))
    except ConfigurationError as error:
        raise written.placed(error) from None


def _all(configs: Sequence[GuardrailConfig], level: ValidationLevel, where: str) -> Iterator[Registered]:
    for place, config in enumerate(configs):
        yield _made(config, level, f"{where}guardrails[{place}]")


def _made(config: GuardrailConfig, level: ValidationLevel, where: str) -> Registered:
    rules = [
        *rules_of(config.use, f"{where}.use"),
        *(
            _pattern(one, place, f"{where}.blocked_patterns[{place}]")
            for place, one in enumerate(config.blocked_patterns)
        ),
        *(_topic(topic, words, f"{where}.blocked_topics") for topic, words in config.blocked_topics.items()),
    ]
    try:
        guardrail = Guardrail(config.name, rules, level=config.level or level, sides=config.on, settings=config.rules)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}.{error.message}", param=error.param) from None
    return Registered(guardrail, tuple(config.tenants), tuple(config.models), tuple(config.routes))


def _pattern(config: PatternConfig, place: int, where: str) -> Rule:
    _check(config.pattern, f"{where}.pattern")
    return PatternRule(
        id=config.name or f"pattern.{place + 1}",
        pattern=config.pattern,
        severity=config.severity,
        action=config.action,
        label=config.label,
        text=config.text or "a blocked pattern",
    )


def _topic(topic: str, words: Iterable[str], where: str) -> Rule:
    """Make a rule of the words that give a topic away: whole words, however they are written."""
    listed = [word.strip() for word in words if word.strip()]
    if not listed:
        raise ConfigurationError(f"{where}.{topic}: expected the words that give it away, got none", param=topic)
    alternatives = "|".join(_word(word) for word in listed)
    return PatternRule(
        id=f"topic.{topic}", pattern=rf"(?i)\b(?:{alternatives})\b", severity=Severity.HIGH, text=f"the topic {topic!r}"
    )


def _word(word: str) -> str:
    return r"\s+".join(
        "".join(c if c.isalnum() else f"\\{c}" if c.isascii() else c for c in part) for part in word.split()
    )


def _check(pattern: str, where: str) -> None:
    try:
        compiled(pattern)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", param=where) from None
