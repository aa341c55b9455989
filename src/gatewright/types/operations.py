"""What an operation is called in records and reports."""

from __future__ import annotations

from typing import Literal

__all__ = ["OPERATION_TYPES", "STATUSES", "OperationStatus", "OperationType"]

OperationType = Literal["completion", "chat", "embedding", "streaming", "function_calling"]
OperationStatus = Literal["success", "error", "timeout", "rate_limited", "cancelled"]

# Stored as their places here: append, never reorder.
OPERATION_TYPES: tuple[OperationType, ...] = ("completion", "chat", "embedding", "streaming", "function_calling")
STATUSES: tuple[OperationStatus, ...] = ("success", "error", "timeout", "rate_limited", "cancelled")
