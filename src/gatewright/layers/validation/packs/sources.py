"""Packs by their names in a guardrail's `use`: a shipped one by its own, another as `{"pack": {"file": …}}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.packs.loading import load_pack, shipped_pack
from gatewright.layers.validation.rules import Rule
from gatewright.types.configuration import Config

__all__ = ["change", "incident", "knowledge", "pack", "problem", "request", "security"]


class PackConfig(Config):
    """Which file the pack is in."""

    file: Path


class NoConfig(Config):
    """A shipped pack has no settings: its rules are set by `rules`, like any other."""


def pack(settings: Mapping[str, Any]) -> Iterable[Rule]:
    """Give the rules of a pack of the user's own."""
    file = PackConfig.read(settings, "").file
    try:
        return load_pack(file).rules
    except ConfigurationError as error:
        raise ConfigurationError(f"file: {error.message}", param="file") from None


def _shipped(name: str) -> Callable[[Mapping[str, Any]], Iterable[Rule]]:
    def rules(settings: Mapping[str, Any]) -> Iterable[Rule]:
        NoConfig.read(settings, "")
        return shipped_pack(name).rules

    return rules


change = _shipped("change")
incident = _shipped("incident")
knowledge = _shipped("knowledge")
problem = _shipped("problem")
request = _shipped("request")
security = _shipped("security")
