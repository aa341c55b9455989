"""The numbers of names, as they are remembered."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Names"]


class Names(dict[str | None, int | None]):
    """Numbers by name; `number_of` is asked for one that is not remembered, and None has none."""

    def __init__(self, number_of: Callable[[str], int]) -> None:
        super().__init__()
        self._number_of = number_of

    def __missing__(self, name: str | None) -> int | None:
        # A NUL ends a text in PostgreSQL and is no part of any name.
        number = self[name] = None if name is None else self._number_of(name.replace("\0", ""))
        return number
