"""What people say of an answer: its kinds, its statuses, and what is kept of it."""

from __future__ import annotations

import os
from binascii import hexlify
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final, Literal

import msgspec

__all__ = [
    "ALL_TENANTS",
    "Delivery",
    "DeliveryState",
    "Feedback",
    "FeedbackStatus",
    "FeedbackType",
    "OperationLink",
    "TenantScope",
    "new_feedback_id",
]


class FeedbackType(StrEnum):
    """What kind of thing is said."""

    CORRECTION = "correction"
    """`content` is what the answer should have been."""
    RATING = "rating"
    """A number from 1 to 5, or a thumb up or down."""
    USEFUL = "useful"
    """The answer helped."""
    IMPROVEMENT = "improvement"
    """`content` is how it could be better."""
    ERROR = "error"
    """`content` is what went wrong."""


class FeedbackStatus(StrEnum):
    """How far a feedback has come: pending → processed → applied or ignored, which are final."""

    PENDING = "pending"
    """Waits for a callback, or for `process_feedback`."""
    PROCESSED = "processed"
    """Every callback has had it, or was given up."""
    APPLIED = "applied"
    """Someone acted on it."""
    IGNORED = "ignored"
    """Someone decided not to; it counts in no insight and no export."""

    def may_become(self, other: FeedbackStatus) -> bool:
        """Say whether `other` may follow; the same status may always be set again."""
        return other is self or other in _NEXT[self]


_NEXT: dict[FeedbackStatus, frozenset[FeedbackStatus]] = {
    FeedbackStatus.PENDING: frozenset({FeedbackStatus.PROCESSED, FeedbackStatus.APPLIED, FeedbackStatus.IGNORED}),
    FeedbackStatus.PROCESSED: frozenset({FeedbackStatus.APPLIED, FeedbackStatus.IGNORED}),
    FeedbackStatus.APPLIED: frozenset(),
    FeedbackStatus.IGNORED: frozenset(),
}

OperationLink = Literal["linked", "unverified", "unknown"]
"""Whether the operation that a feedback names is this tenant's: it is, could not be looked up yet, or is not."""

DeliveryState = Literal["pending", "delivered", "dead"]


class _Everyone(Enum):
    ALL_TENANTS = "all tenants"

    def __repr__(self) -> str:
        return "ALL_TENANTS"


ALL_TENANTS: Final = _Everyone.ALL_TENANTS
"""For whoever runs the gateway: as a `tenant_id` it stands for every tenant's feedback."""

TenantScope = str | None | Literal[_Everyone.ALL_TENANTS]
"""Whose feedback: one tenant's, that of callers without a tenant (None), or everyone's."""


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """One feedback as it is kept; `created_at` is in UTC, `rating` from 1 to 5 (a thumb down is 1, up is 5)."""

    id: str
    tenant_id: str | None
    type: FeedbackType
    query: str
    response: str
    content: str
    created_at: datetime
    rating: float | None = None
    operation_id: str | None = None
    operation: OperationLink | None = None
    model: str | None = None
    prompt_version: str | None = None
    metadata: dict[str, Any] = {}
    status: FeedbackStatus = FeedbackStatus.PENDING


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How far one callback has come with one feedback; `due_at` is when it is tried next, in UTC."""

    feedback_id: str
    callback: str
    state: DeliveryState = "pending"
    attempts: int = 0
    due_at: datetime
    last_error: str | None = None


def new_feedback_id() -> str:
    """Give a new id: `fb_` and 24 random hexadecimal digits."""
    return "fb_" + hexlify(os.urandom(12)).decode()
