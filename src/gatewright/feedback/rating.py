"""Ratings: a number from 1 to 5, or a thumb."""

from __future__ import annotations

from gatewright.errors import BadRequest

__all__ = ["HIGHEST", "LOWEST", "read_rating"]

LOWEST, HIGHEST = 1.0, 5.0
_THUMBS = {
    "up": HIGHEST,
    "thumbs_up": HIGHEST,
    "thumbs up": HIGHEST,
    "👍": HIGHEST,
    "+1": HIGHEST,
    "down": LOWEST,
    "thumbs_down": LOWEST,
    "thumbs down": LOWEST,
    "👎": LOWEST,
    "-1": LOWEST,
}


def read_rating(value: object, field: str = "rating") -> float:
    """Give a rating as a number from 1 to 5; a thumb up counts as 5, one down as 1. Anything else is a `BadRequest`."""
    number = _thumb_or_number(value) if isinstance(value, str) else value
    if isinstance(number, int | float) and not isinstance(number, bool) and LOWEST <= number <= HIGHEST:
        return float(number)
    shown = repr(value) if len(repr(value)) <= 40 else type(value).__name__
    raise BadRequest(f'{field}: expected a number from 1 to 5, "up" or "down", got {shown}', param=field)


def _thumb_or_number(text: str) -> float | None:
    word = text.strip().lower()
    if word in _THUMBS:
        return _THUMBS[word]
    try:
        return float(word) if word.isascii() else None
    except ValueError:
        return None
