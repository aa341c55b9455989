"""Secrets: keys and tokens by their issuers' formats, private keys, and what is set as a password somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gatewright.layers.validation.automata import compiled
from gatewright.layers.validation.content.entropy import bits_per_character, kinds_of_characters
from gatewright.layers.validation.content.issuers import Format, formats
from gatewright.layers.validation.levels import Severity
from gatewright.layers.validation.rules import Check, PatternRule
from gatewright.types.configuration import Config

__all__ = ["SecretsConfig", "secrets"]

LABEL = "SECRET"

_LINE = r"(?:\s|\\[nr])*"
# With or without its end: an answer may have been cut off.
PRIVATE_KEY = (
    rf"-----BEGIN[ A-Z0-9_-]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{_LINE}(?:[A-Za-z-]+: [^\n\\]*{_LINE})*"
    rf"(?:{_LINE}[A-Za-z0-9+/=]{{16,}})+"
    rf"(?:{_LINE}[A-Za-z0-9+/=]{{0,16}}{_LINE}-----END[ A-Z0-9_-]{{0,40}}KEY[A-Z ]*-----)?"
)
KEY_OF_A_MODEL_PROVIDER = r"\bsk-(?:[A-Za-z0-9]{2,10}[-_]){0,3}[A-Za-z0-9_-]{20,}"
ASSIGNED = (
    r"(?i)(?:passw(?:or)?d|passphrase|passwd|pwd|secret|token|credentials?"
    r"|(?:api|access|account|private|auth|encryption|signing|master|shared|storage|service)[_ -]?key)"
    r"[a-z0-9_.-]{0,20}[\"'\x60*]{0,3}\s{0,3}(?::=|=>|=|:|->)\s{0,3}[\"'\x60]?(?:(?:bearer|basic)\s{1,3})?"
    r"([a-z0-9+/=_.~!@#$%^&*-]{10,200})"
)
# Names of variables, calls, paths and placeholders are set to passwords more often than passwords are.
_NO_SECRET = re.compile(
    r"(?i)your|example|sample|dummy|placeholder|changeme|change[_-]?me|redacted|xxx|\*\*\*|\.\.\.|1234567|abcdef"
    r"|^[$%{<]|environ|getenv|process\.env|^[a-z_]+(?:\.[a-z_]+)+$|^/|^https?:|^[\d.:/-]+$"
)


class SecretsConfig(Config):
    """Which secrets are looked for: `assigned` are random-looking values that are set as a password or a key."""

    assigned: bool = True


def secrets(settings: Mapping[str, Any]) -> list[PatternRule]:
    """Give the rules."""
    config = SecretsConfig.read(settings, "")
    rules = [_rule(one.name, one.pattern, check=_check_of(one), group=one.group) for one in formats()]
    own = [
        _rule("private-key-block", PRIVATE_KEY),
        _rule("model-provider-key", KEY_OF_A_MODEL_PROVIDER, check=_is_key),
    ]
    if config.assigned:
        own.append(_rule("assigned", ASSIGNED, check=_is_random, group=1))
    return [*rules, *own]


def _rule(name: str, pattern: str, *, check: Check | None = None, group: int = 0) -> PatternRule:
    return PatternRule(
        id=f"secrets.{name}",
        pattern=pattern,
        group=group,
        check=check,
        severity=Severity.CRITICAL,
        label=LABEL,
        text=f"what looks like a secret ({name.replace('-', ' ')})",
    )


def _check_of(form: Format) -> Check | None:
    if not form.entropy and not form.unless:
        return None
    unless = _any_of(form.unless)

    def check(text: str, start: int, end: int) -> bool:
        found = text[start:end]
        return bits_per_character(found) > form.entropy and not unless(found)

    return check


def _any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Make what says whether one of several patterns is found; compiled when it is asked the first time."""
    listed = tuple(patterns)

    def found(text: str) -> bool:
        data = text.encode("utf-8", "surrogatepass")
        return any(compiled(one).search(data) is not None for one in listed)

    return found


def _is_key(text: str, start: int, end: int) -> bool:
    found = text[start:end]
    return any(one.isdigit() for one in found) and bits_per_character(found) > 3.5 and not _NO_SECRET.search(found)


def _is_random(text: str, start: int, end: int) -> bool:
    found = text[start:end].rstrip(".,:;!?*")
    if len(found) < 10 or not any(one.isdigit() for one in found) or _NO_SECRET.search(found):
        return False
    kinds = kinds_of_characters(found)
    if len(found) < 16:
        return kinds >= 3 and bits_per_character(found) > 3.0
    return kinds >= 2 and bits_per_character(found) > 3.0
