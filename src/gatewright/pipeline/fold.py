"""What adds chunks up to a value."""

from __future__ import annotations

from typing import Protocol, TypeVar

__all__ = ["Fold"]

C_contra = TypeVar("C_contra", contravariant=True)
V_co = TypeVar("V_co", covariant=True)


class Fold(Protocol[C_contra, V_co]):
    """Adds chunks up to a value."""

    def add(self, chunk: C_contra, /) -> None:
        """Add one chunk."""
        ...

    def value(self) -> V_co:
        """Give what the chunks so far add up to."""
        ...
