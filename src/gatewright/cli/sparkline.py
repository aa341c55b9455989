"""Charts of one line: a row of blocks, or of ASCII where the terminal has no blocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values from 0 to the highest of them, in at most so many columns: neighbours are added up to fit."""
    shown = _fitted(values, width)
    highest = max(shown, default=0.0)
    marks = _marks()
    if highest <= 0:
        return marks[0] * len(shown)
    return "".join(marks[min(7, int(value / highest * 7.999))] for value in shown)


def _fitted(values: Sequence[float], width: int) -> list[float]:
    width = max(1, width)
    if len(values) <= width:
        return list(values)
    ends = [round((place + 1) * len(values) / width) for place in range(width)]
    return [sum(values[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _marks() -> str:
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _BLOCKS
