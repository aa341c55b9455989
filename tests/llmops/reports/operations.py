"""Operations to be reported on."""

from __future__ import annotations

import itertools
from typing import Any

from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import OperationRecord

NOW = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC, a Monday
MINUTE, HOUR, DAY = 60, 3600, 86400
_numbers = itertools.count(1)


def operation(ago: float = 0.0, kind: str = "chat", status: str = "success", **fields: Any) -> OperationRecord:
    """Make an operation of `ago` seconds before now; money in 10⁻¹² dollars, durations in microseconds."""
    at = NOW - ago
    usual = {"tenant": "acme", "model": "m", "provider": "p", "cost": 0}
    return OperationRecord(
        id=int(at).to_bytes(4, "big") + next(_numbers).to_bytes(8, "big"),
        started_at=int(at * 1000),
        type=OPERATION_TYPES.index(kind),  # type: ignore[arg-type]
        status=STATUSES.index(status),  # type: ignore[arg-type]
        **{**usual, **fields},
    )
