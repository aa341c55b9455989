"""How random a text looks."""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["bits_per_character", "kinds_of_characters"]


def bits_per_character(text: str) -> float:
    """Give Shannon's entropy of the characters of a text, in bits for each."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())


def kinds_of_characters(text: str) -> int:
    """Count which there are of small letters, capitals, digits and others."""
    return sum(
        (
            any(one.islower() for one in text),
            any(one.isupper() for one in text),
            any(one.isdigit() for one in text),
            any(not one.isalnum() for one in text),
        )
    )
