"""What a choice has beside its texts: a provider's own fields, and what is said in audio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.redaction import Placeholders
from gatewright.types.results import Choice

__all__ = ["without_findings"]

# Opaque to readers: what a provider signs or encrypts, and sounds.
_OPAQUE = frozenset({"signature", "encrypted_content", "data", "id", "type"})


def without_findings(panel: Panel, choice: Choice, placeholders: Placeholders) -> tuple[dict[str, Any], list[Finding]]:
    """Give `extra` and `audio` as they may pass, by their names, and what was found in them."""
    findings: list[Finding] = []

    def scanned(text: str, place: str) -> str:
        passed, found = panel.scan(text, place, placeholders)
        findings.extend(found)
        return passed

    rest = {
        name: _each_text(value, f"choices[{choice.index}].{name}", scanned)
        for name, value in (("extra", choice.extra), ("audio", choice.audio))
        if value is not None
    }
    return rest, findings


def _each_text(value: Any, place: str, replace: Callable[[str, str], str]) -> Any:
    if isinstance(value, str):
        return replace(value, place) if value else value
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {
            name: one if name in _OPAQUE else _each_text(one, f"{place}.{name}", replace)
            for name, one in fields.items()
        }
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        return [_each_text(one, f"{place}[{number}]", replace) for number, one in enumerate(listed)]
    return value
