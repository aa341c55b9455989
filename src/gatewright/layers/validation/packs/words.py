"""When two values are the same, and when a value says nothing."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

__all__ = ["BLANK", "is_blank", "plain", "spellings"]

BLANK = frozenset({"", "n/a", "na", "none", "null", "tbd", "todo", "unknown", "?", "_"})
"""Words that stand where nothing is known, as `plain` gives them."""

_BETWEEN_WORDS = re.compile(r"[\s_\-\u2013\u2014]+")


def plain(value: Any) -> str:
    """Give a scalar as it is compared: `In Progress`, `in-progress` and `in_progress` are one, as are 1 and "1"."""
    if isinstance(value, str):
        return _BETWEEN_WORDS.sub("_", value.strip()).lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def spellings(value: Any) -> tuple[str, ...]:
    """Give a scalar of a YAML file in all the ways in which it may be meant: `yes` is the same as `true` there."""
    if isinstance(value, bool):
        return ("true", "yes", "on") if value else ("false", "no", "off")
    return (plain(value),)


def is_blank(value: Any, blank: Collection[str] = BLANK) -> bool:
    """Whether a value says nothing: there is none, it is empty, or one of the words for that."""
    if value is None or value in ([], {}, ()):
        return True
    return isinstance(value, str) and plain(value) in blank
