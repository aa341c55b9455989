"""The operation that a feedback is about: whose it was, which model answered, with which version of the prompt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from gatewright.feedback.intake import MAX_TOLD_CHARS
from gatewright.feedback.store import milliseconds
from gatewright.feedback.types import Feedback
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.schema import feedback as rows
from gatewright.storage.sql.schema import names, operations, series

__all__ = ["Operation", "Operations", "linked", "operation_key"]

log = logging.getLogger("gatewright.feedback")

GIVEN_UP_AFTER = timedelta(hours=1)
"""An operation that no process has recorded by then never was, or is no longer kept."""
AT_ONCE = 500
_PREFIX = "req_"
_VERSION_TAG = "prompt_version"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What a recorded operation says of a feedback about it."""

    tenant_id: str | None
    model: str | None
    prompt_version: str | None


class Operations:
    """Looks up operations in the records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, operation_id: str) -> Operation | None:
        """Give one; None where it is not in the database, or not yet."""
        key = operation_key(operation_id)
        if key is None:
            return None
        with self._database.reading() as connection:
            return _found(connection, [key]).get(key)

    def verify(self, now: datetime) -> None:
        """Link the feedback whose operation could not be looked up when it was recorded, the oldest first."""
        with self._database.writing() as connection:
            unverified = sa.select(rows.c.id, rows.c.tenant, rows.c.operation, rows.c.created_at)
            oldest = unverified.where(rows.c.link == "unverified").order_by(rows.c.created_at).limit(AT_ONCE)
            waiting = connection.execute(oldest.with_for_update(skip_locked=True)).all()
            keys = {row.id: operation_key(row.operation) for row in waiting}
            known = _found(connection, {key for key in keys.values() if key is not None})
            for row in waiting:
                key = keys[row.id]
                operation = None if key is None else known.get(key)
                too_old = row.created_at < milliseconds(now - GIVEN_UP_AFTER)
                if operation is not None and operation.tenant_id == row.tenant:
                    _link(connection, row.id, operation)
                elif operation is not None or key is None or too_old:
                    connection.execute(sa.update(rows).where(rows.c.id == row.id).values(link="unknown"))


def operation_key(operation_id: str) -> bytes | None:
    """Give an operation's key in the records; None for what is no request id."""
    try:
        key = bytes.fromhex(operation_id.removeprefix(_PREFIX))
    except ValueError:
        return None
    return key if operation_id.startswith(_PREFIX) and len(key) == 12 else None


def linked(feedback: Feedback, operation: Operation) -> Feedback:
    """Give a feedback with what its operation says, under what it says itself."""
    return msgspec.structs.replace(
        feedback,
        operation="linked",
        model=feedback.model or operation.model,
        prompt_version=feedback.prompt_version or operation.prompt_version,
    )


def _link(connection: sa.Connection, feedback_id: str, operation: Operation) -> None:
    own = {
        "link": "linked",
        "model": sa.func.coalesce(rows.c.model, operation.model),
        "prompt_version": sa.func.coalesce(rows.c.prompt_version, operation.prompt_version),
    }
    connection.execute(sa.update(rows).where(rows.c.id == feedback_id).values(own))


def _found(connection: sa.Connection, keys: Iterable[bytes]) -> dict[bytes, Operation]:
    tenant, model, answered, tags = (names.alias(part) for part in ("tenant", "model", "answered", "tags"))
    query = (
        sa.select(
            operations.c.id,
            tenant.c.name.label("tenant"),
            sa.func.coalesce(answered.c.name, model.c.name).label("model"),
            tags.c.name.label("tags"),
        )
        .join(series, series.c.id == operations.c.series)
        .outerjoin(tenant, tenant.c.id == series.c.tenant)
        .outerjoin(model, model.c.id == series.c.model)
        .outerjoin(answered, answered.c.id == operations.c.answered_model)
        .outerjoin(tags, tags.c.id == operations.c.tags)
        .where(operations.c.id.in_(list(keys)))
    )
    found: Sequence[Any] = connection.execute(query).all()
    return {
        bytes(row.id): Operation(
            tenant_id=row.tenant,
            model=row.model and row.model[:MAX_TOLD_CHARS],
            prompt_version=_version(row.tags),
        )
        for row in found
    }


def _version(tags: str | None) -> str | None:
    """Give the version that a tag such as `prompt_version:v7` names."""
    listed: list[str] = [] if tags is None else msgspec.json.decode(tags, type=list[str])
    for tag in listed:
        name, mark, version = tag.replace("=", ":", 1).partition(":")
        if mark and name.strip() == _VERSION_TAG and version.strip():
            return version.strip()[:MAX_TOLD_CHARS]
    return None
