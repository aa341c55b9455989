"""A reply that fails when it is read, and still knows what was used until then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from gatewright.pipeline.reply import Reply

__all__ = ["failing"]

V = TypeVar("V")


def failing(value: V, error: Exception) -> Reply[Any, V]:
    """Make a reply whose reading raises `error` and whose outcome has `value`: tokens that were used are not lost."""
    return Reply(_raising(error), _Held(value))


class _Held:
    """Has a value already, and adds nothing to it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def add(self, chunk: Any, /) -> None:
        """Add nothing: there are no chunks."""

    def value(self) -> Any:
        """Give the value."""
        return self._value


async def _raising(error: Exception) -> AsyncGenerator[list[Any], None]:
    raise error
    yield []
