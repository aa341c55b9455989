"""Where a guardrail's rules come from, by the names that its `use` has."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.rules import Rule
from gatewright.types.configuration import nearest

__all__ = ["SOURCES", "rules_of"]

_HERE = "gatewright.layers.validation"
SOURCES: dict[str, str] = {
    **{name: f"{_HERE}.content.{name}:{name}" for name in ("markup", "names", "pii", "secrets")},
    **{name: f"{_HERE}.formats.sources:{name}" for name in ("code", "json", "language", "length", "table", "wording")},
    **{
        name: f"{_HERE}.packs.sources:{name}"
        for name in ("change", "incident", "knowledge", "pack", "problem", "request", "security")
    },
}
"""A name, and the function behind it: `module:function`, which is given the settings as a mapping and gives rules.

It checks its settings by a `Config` of its own; its errors name the setting, and `rules_of` says where that stands.
"""


def rules_of(use: Iterable[str | Mapping[str, Any]], where: str = "use") -> list[Rule]:
    """Give the rules of each source that is named; an unknown one is an error with the nearest name."""
    rules: list[Rule] = []
    for place, entry in enumerate(use):
        named: Mapping[str, Any] = {entry: {}} if isinstance(entry, str) else entry
        for name, settings in named.items():
            rules += _rules(name, settings, f"{where}[{place}]")
    return rules


def _rules(name: str, settings: Any, where: str) -> Iterable[Rule]:
    home = SOURCES.get(name)
    if home is None:
        near = nearest(name, SOURCES)
        raise ConfigurationError(
            f"{where}: there are no rules {name!r}" + (f"; did you mean {near!r}?" if near else ""), param=where
        )
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigurationError(f"{where}.{name}: expected settings, got {type(settings).__name__}", param=where)
    module, function = home.split(":")
    try:
        return getattr(importlib.import_module(module), function)(settings or {})
    except ConfigurationError as error:
        error.message = f"{where}.{name}.{error.message}"
        error.args = (error.message,)
        raise
