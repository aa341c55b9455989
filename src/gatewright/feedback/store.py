"""Feedback in the records' database, by its id and by its tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gatewright.errors import BadRequest
from gatewright.feedback.types import (
    ALL_TENANTS,
    Delivery,
    Feedback,
    FeedbackStatus,
    FeedbackType,
    TenantScope,
)
from gatewright.feedback.words import text_key
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.schema import feedback as rows
from gatewright.storage.sql.schema import feedback_deliveries as deliveries
from gatewright.storage.sql.schema import feedback_texts as texts

__all__ = ["EPOCH", "FeedbackStore", "Filter", "inserting", "milliseconds", "moment", "whose"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE = 500
"""So many are read at once where a whole selection is walked through."""

_GROUPED = frozenset({FeedbackType.CORRECTION, FeedbackType.IMPROVEMENT, FeedbackType.ERROR})


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which feedback is meant; None is "any". `before` and `since` are in UTC."""

    tenant_id: TenantScope = None
    type: FeedbackType | None = None
    status: FeedbackStatus | None = None
    model: str | None = None
    prompt_version: str | None = None
    operation_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def clauses(self) -> list[sa.ColumnElement[bool]]:
        """Give the conditions in SQL."""
        exact = {
            rows.c.type: self.type,
            rows.c.status: self.status,
            rows.c.model: self.model,
            rows.c.prompt_version: self.prompt_version,
            rows.c.operation: self.operation_id,
        }
        found = [column == str(value) for column, value in exact.items() if value is not None]
        if self.since is not None:
            found.append(rows.c.created_at >= milliseconds(self.since))
        if self.before is not None:
            found.append(rows.c.created_at < milliseconds(self.before))
        return [*whose(self.tenant_id), *found]


class FeedbackStore:
    """Keeps feedback: once `add` has returned it outlives the process; adding one twice changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, given: Iterable[tuple[Feedback, Sequence[Delivery]]]) -> None:
        """Keep feedback, each with the deliveries that are due for it, all or none."""
        by_id: dict[str, tuple[Feedback, Sequence[Delivery]]] = {}
        for one, due in given:
            by_id.setdefault(one.id, (one, due))
        if by_id:
            with self._database.writing() as connection:
                _add(connection, by_id)

    def get(self, feedback_id: str, tenant_id: TenantScope) -> Feedback | None:
        """Give one by its id; None where that is not there, or another tenant's."""
        with self._database.reading() as connection:
            row = connection.execute(_selected().where(rows.c.id == feedback_id, *whose(tenant_id))).one_or_none()
        return None if row is None else _read(row)

    def list(self, chosen: Filter, limit: int, after: str | None = None) -> list[Feedback]:
        """Give the newest first, those that come after the one with the id `after`."""
        query = _selected().where(*chosen.clauses())
        query = query.order_by(rows.c.created_at.desc(), rows.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            if after is not None:
                query = query.where(sa.tuple_(rows.c.created_at, rows.c.id) < _place(connection, after, chosen))
            return [_read(row) for row in connection.execute(query)]

    def walk(self, chosen: Filter) -> Iterator[Feedback]:
        """Give all of them, the newest first, without holding many at once."""
        after: str | None = None
        while page := self.list(chosen, PAGE, after):
            yield from page
            after = page[-1].id

    def set_status(self, feedback_id: str, status: FeedbackStatus, tenant_id: TenantScope) -> FeedbackStatus | None:
        """Set it where the one it has allows it, and give the one it had; None where there is no such feedback."""
        chosen = [rows.c.id == feedback_id, *whose(tenant_id)]
        with self._database.writing() as connection:
            found = connection.execute(sa.select(rows.c.status).where(*chosen).with_for_update()).scalar()
            if found is None:
                return None
            before = FeedbackStatus(found)
            if before is not status and before.may_become(status):
                connection.execute(sa.update(rows).where(*chosen).values(status=status.value))
                connection.execute(_abandoned(feedback_id))
        return before

    def delete(self, feedback_id: str, tenant_id: TenantScope) -> bool:
        """Remove one with its texts and deliveries; False where there is no such feedback."""
        with self._database.writing() as connection:
            gone = sa.delete(rows).where(rows.c.id == feedback_id, *whose(tenant_id)).returning(rows.c.id)
            if connection.execute(gone).scalar() is None:
                return False
            connection.execute(sa.delete(texts).where(texts.c.id == feedback_id))
            connection.execute(sa.delete(deliveries).where(deliveries.c.feedback == feedback_id))
        return True


def whose(tenant_id: TenantScope) -> list[sa.ColumnElement[bool]]:
    """Give the condition that keeps tenants apart."""
    if tenant_id is ALL_TENANTS:
        return []
    return [rows.c.tenant.is_(None) if tenant_id is None else rows.c.tenant == tenant_id]


def inserting(connection: sa.Connection, table: sa.Table) -> Any:
    """Give an INSERT that may be told what to do on a conflict; both databases say it alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def milliseconds(time: datetime) -> int:
    """Give a time as the store has it."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def moment(stored: int) -> datetime:
    """Give a stored time back."""
    return EPOCH + timedelta(milliseconds=stored)


def _abandoned(feedback_id: str) -> Any:
    """Give up what nobody is to be told of any more."""
    open_ = [deliveries.c.feedback == feedback_id, deliveries.c.state == "pending"]
    return sa.delete(deliveries).where(*open_)


def _add(connection: sa.Connection, given: Mapping[str, tuple[Feedback, Sequence[Delivery]]]) -> None:
    adding = inserting(connection, rows).on_conflict_do_nothing().returning(rows.c.id)
    added = set(connection.execute(adding, [_row(one) for one, _ in given.values()]).scalars())
    new = [kept for id_, kept in given.items() if id_ in added]
    if new:
        connection.execute(sa.insert(texts), [_text_row(one) for one, _ in new])
    if due := [_due_row(delivery) for _, own in new for delivery in own]:
        connection.execute(sa.insert(deliveries), due)


def _row(one: Feedback) -> dict[str, Any]:
    return {
        "id": one.id,
        "tenant": one.tenant_id,
        "type": one.type.value,
        "status": one.status.value,
        "created_at": milliseconds(one.created_at),
        "rating": one.rating,
        "operation": one.operation_id,
        "link": one.operation,
        "model": one.model,
        "prompt_version": one.prompt_version,
        "text_key": text_key(one.content) if one.type in _GROUPED else None,
    }


def _text_row(one: Feedback) -> dict[str, Any]:
    told = msgspec.json.encode(one.metadata).decode()
    return {"id": one.id, "query": one.query, "response": one.response, "content": one.content, "metadata": told}


def _due_row(delivery: Delivery) -> dict[str, Any]:
    return {
        "feedback": delivery.feedback_id,
        "callback": delivery.callback,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "due_at": milliseconds(delivery.due_at),
    }


def _place(connection: sa.Connection, after: str, chosen: Filter) -> sa.Tuple:
    where = [rows.c.id == after, *whose(chosen.tenant_id)]
    created_at = connection.execute(sa.select(rows.c.created_at).where(*where)).scalar()
    if created_at is None:
        raise BadRequest(f"after: there is no feedback {after!r}", param="after")
    return sa.tuple_(sa.literal(created_at), sa.literal(after))


def _selected() -> sa.Select[Any]:
    more = (texts.c.query, texts.c.response, texts.c.content, texts.c.metadata)
    return sa.select(rows, *more).join_from(rows, texts, rows.c.id == texts.c.id)


def _read(row: Any) -> Feedback:
    return Feedback(
        id=row.id,
        tenant_id=row.tenant,
        type=FeedbackType(row.type),
        status=FeedbackStatus(row.status),
        query=row.query,
        response=row.response,
        content=row.content,
        rating=row.rating,
        operation_id=row.operation,
        operation=row.link,
        model=row.model,
        prompt_version=row.prompt_version,
        metadata=msgspec.json.decode(row.metadata),
        created_at=moment(row.created_at),
    )
