"""Markup that runs or reaches out when a browser shows the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewright.layers.validation.levels import Severity
from gatewright.layers.validation.rules import PatternRule
from gatewright.types.configuration import Config

__all__ = ["MarkupConfig", "markup"]

LABEL = "MARKUP"
_PATTERNS = {
    "script": (r"(?is)<\s*script\b[^>]*>(?:.*?<\s*/\s*script[^>]*>)?", "a script"),
    "frame": (
        r"(?i)<\s*(?:iframe|frame|object|embed|applet|base|meta|link)\b[^>]*>",
        "an element that loads something",
    ),
    "handler": (
        r"""(?i)<[a-z][^<>]*?[\s/"']on[a-z]{3,24}\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)[^>]*>""",
        "an event handler",
    ),
    "url": (
        r"""(?i)(?:href|src|action|formaction|xlink:href|data)\s*=\s*["']?\s*"""
        r"""(?:j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t|vbscript|data\s*:\s*text/html)\s*:?[^\s>]*""",
        "an address that runs",
    ),
    "markdown": (r"(?i)\]\(\s*(?:javascript|vbscript|data:text/html)\s*:?[^)\s]*\)?", "a link that runs"),
}


class MarkupConfig(Config):
    """Has no settings."""


def markup(settings: Mapping[str, Any]) -> list[PatternRule]:
    """Give the rules."""
    MarkupConfig.read(settings, "")
    return [
        PatternRule(id=f"markup.{name}", pattern=pattern, severity=Severity.HIGH, label=LABEL, text=text)
        for name, (pattern, text) in _PATTERNS.items()
    ]
