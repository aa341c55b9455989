"""A record that cannot be written as it is: with half characters, or with numbers of more than 64 bits."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.types.records import OperationRecord

__all__ = ["mended"]

MOST = 2**63 - 1


def mended(record: OperationRecord) -> OperationRecord:
    """Give the record with `?` for what is no character, and the largest number for one that is larger."""
    return OperationRecord(**{name: _mended(value) for name, value in msgspec.structs.asdict(record).items()})


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-MOST, min(MOST, value))
    if isinstance(value, tuple):
        return tuple(map(_mended, value))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
