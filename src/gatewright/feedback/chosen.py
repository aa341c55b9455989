"""Which feedback is asked about: the arguments of lists and insights, checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gatewright.errors import BadRequest
from gatewright.feedback.intake import MAX_NAME_BYTES, checked_tenant, checked_text, checked_type
from gatewright.feedback.types import ALL_TENANTS, FeedbackStatus, TenantScope

__all__ = ["checked_hours", "checked_limit", "checked_scope", "checked_status", "chosen_by", "since_hours"]

MAX_HOURS = 24 * 366 * 100
MAX_LIMIT = 1000


def chosen_by(tenant_id: object, **conditions: Any) -> dict[str, Any]:
    """Give what a `Filter` is made of; None is "any" for everything but the tenant."""
    checks: dict[str, Any] = {"feedback_type": checked_type, "status": checked_status}
    chosen: dict[str, Any] = {"tenant_id": checked_scope(tenant_id)}
    for field, value in conditions.items():
        if value is None:
            continue
        if isinstance(value, datetime):
            chosen[field] = _aware(field, value)
        else:
            check = checks.get(field)
            chosen[field] = checked_text(field, value, MAX_NAME_BYTES) if check is None else check(value)
    if "feedback_type" in chosen:
        chosen["type"] = chosen.pop("feedback_type")
    return chosen


def checked_scope(tenant_id: object) -> TenantScope:
    """Give whose feedback is meant: one tenant's, that of nobody's (None), or everyone's."""
    return ALL_TENANTS if tenant_id is ALL_TENANTS else checked_tenant(tenant_id)


def checked_status(value: object) -> FeedbackStatus:
    """Give a status by itself or by its name."""
    if isinstance(value, str):
        try:
            return FeedbackStatus(value)
        except ValueError:
            pass
    names = ", ".join(one.value for one in FeedbackStatus)
    raise BadRequest(f"status: expected one of {names}, got {value!r}"[:200], param="status")


def checked_hours(field: str, value: object) -> timedelta:
    """Give a time span."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_HOURS:
        span = timedelta(hours=value)
        if span >= timedelta(seconds=1):
            return span
    raise BadRequest(f"{field}: expected a number of hours above zero, got {value!r}"[:200], param=field)


def since_hours(value: object, now: datetime) -> datetime | None:
    """Give the beginning of the last so many hours; None for all time."""
    return None if value is None else now - checked_hours("time_range_hours", value)


def checked_limit(value: object) -> int:
    """Give how many are wanted."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LIMIT:
        return value
    raise BadRequest(f"limit: expected a whole number from 1 to {MAX_LIMIT}, got {value!r}"[:200], param="limit")


def _aware(field: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise BadRequest(f"{field}: expected a time with a time zone, such as datetime.now(UTC)", param=field)
    return value.astimezone(UTC)
