"""Numbers in place of names, as they are remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Numbers"]

K = TypeVar("K")
V = TypeVar("V")


class Numbers(dict[K, V]):
    """Numbers by what they stand for; `number_of` is asked for one that is not remembered."""

    def __init__(self, number_of: Callable[[K], V]) -> None:
        super().__init__()
        self._number_of = number_of

    def __missing__(self, key: K) -> V:
        number = self[key] = self._number_of(key)
        return number
