"""Packs by their names in a guardrail's `use`: a shipped one by its own, another as `{"pack": {"file": …}}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.packs.loading import load_pack, shipped_pack
from gatewright.layers.validation.packs.pack import Part
from gatewright.layers.validation.rules import Rule
from gatewright.types.configuration import Config

__all__ = ["change", "incident", "knowledge", "pack", "problem", "request", "security"]


class ShippedConfig(Config):
    """Which of a pack's rules: those of the record's form, those of the practice, or all."""

    part: Part = "all"


class PackConfig(ShippedConfig):
    """Which file the pack is in."""

    file: Path


def pack(settings: Mapping[str, Any]) -> Iterable[Rule]:
    """Give the rules of a pack of the user's own."""
    config = PackConfig.read(settings, "")
    try:
        return load_pack(config.file).part(config.part)
    except ConfigurationError as error:
        raise ConfigurationError(f"file: {error.message}", param="file") from None


def _shipped(name: str) -> Callable[[Mapping[str, Any]], Iterable[Rule]]:
    def rules(settings: Mapping[str, Any]) -> Iterable[Rule]:
        return shipped_pack(name).part(ShippedConfig.read(settings, "").part)

    return rules


change = _shipped("change")
incident = _shipped("incident")
knowledge = _shipped("knowledge")
problem = _shipped("problem")
request = _shipped("request")
security = _shipped("security")
