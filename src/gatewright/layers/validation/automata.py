"""RE2, as the guards use it: linear time, UTF-8 bytes, errors that say what to do."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from gatewright.errors import ConfigurationError, MissingExtra
from gatewright.layers.validation.syntax import parse, shortest

__all__ = ["compiled", "many"]

MEMORY = 64 << 20
"""Bytes that one automaton may grow to; RE2 takes them as it needs them."""


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """Compile a pattern for UTF-8 bytes; one that RE2 cannot do is a `ConfigurationError` that says why."""
    re2 = _re2()
    try:
        expression = re2.compile(pattern.encode(), _options(re2))
    except re2.error as error:
        raise ConfigurationError(f"pattern {pattern!r}: {_reason(pattern, error)}") from None
    if _may_be_empty(pattern, expression):
        raise ConfigurationError(f"pattern {pattern!r}: it matches the empty text, so it would be found everywhere")
    return expression


def _may_be_empty(pattern: str, expression: Any) -> bool:
    try:
        return shortest(parse(pattern)) == 0
    except ValueError:
        return expression.match(b"") is not None


def many(patterns: Sequence[str]) -> Any:
    """Compile patterns to one automaton: its `Match(data)` gives the numbers of those that match, or None."""
    re2 = _re2()
    automaton = re2.Set.SearchSet(_options(re2))
    for pattern in patterns:
        automaton.Add(pattern.encode())
    automaton.Compile()
    return automaton


def _options(re2: Any) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    return options


def _reason(pattern: str, error: Exception) -> str:
    told = str(error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error)
    for sign, name in (("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"), ("(?<!", "look-behind")):
        if sign in pattern:
            return f"{name} is not possible in linear time: write what is to be matched without {sign}…)"
    if "invalid escape sequence: \\" in told and told.rstrip("'")[-1:].isdigit():
        return "a back reference is not possible in linear time"
    return told


def _re2() -> Any:
    try:
        import re2  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtra("Guards", "guards") from None
    return re2
