"""Which callback has yet to be told of which feedback: kept in the database, so that no crash loses it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from gatewright.feedback import deliveries as states
from gatewright.feedback.config import CallbackConfig
from gatewright.feedback.store import inserting, milliseconds, moment, whose
from gatewright.feedback.types import Delivery, FeedbackStatus, FeedbackType, TenantScope
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.schema import feedback as rows
from gatewright.storage.sql.schema import feedback_deliveries as table

__all__ = ["Outbox"]

ADOPTED_AT_ONCE = 500


class Outbox:
    """Hands out what is due to one process at a time, and keeps what came of it."""

    def __init__(self, database: Database, config: CallbackConfig) -> None:
        self._database = database
        self._config = config

    def adopt(self, callback: str, kind: FeedbackType) -> int:
        """Have a callback told of pending feedback that it was not meant for yet; gives how much that was."""
        known = sa.exists().where(table.c.feedback == rows.c.id, table.c.callback == callback)
        pending = [rows.c.status == "pending", rows.c.type == kind.value]
        fresh = (
            sa.select(rows.c.id, sa.literal(callback), sa.literal("pending"), sa.literal(0), rows.c.created_at)
            .where(*pending, ~known)
            .order_by(rows.c.created_at)
            .limit(ADOPTED_AT_ONCE)
        )
        columns = ["feedback", "callback", "state", "attempts", "due_at"]
        with self._database.writing() as connection:
            insert = inserting(connection, table).from_select(columns, fresh).on_conflict_do_nothing()
            return len(connection.execute(insert.returning(table.c.feedback)).all())

    def claim(self, callback: str, now: datetime, limit: int, feedback_id: str | None = None) -> list[Delivery]:
        """Take what is due, the longest due first, so that nobody else has it until the lease ends."""
        where = [table.c.callback == callback, table.c.state == "pending"]
        where.append(table.c.feedback == feedback_id if feedback_id else table.c.due_at <= milliseconds(now))
        due = sa.select(table).where(*where).order_by(table.c.due_at).limit(limit).with_for_update(skip_locked=True)
        taken: list[Delivery] = []
        with self._database.writing() as connection:
            for delivery in map(_read, connection.execute(due).all()):
                if states.is_exhausted(delivery, self._config):
                    self._settle(connection, states.given_up(delivery))
                else:
                    taken.append(states.claimed(delivery, self._config, now))
                    _write(connection, taken[-1])
        return taken

    def renew(self, held: Sequence[tuple[str, str]], now: datetime) -> None:
        """Hold for another lease what is being worked on: pairs of a feedback's id and a callback's name."""
        due = milliseconds(now) + round(self._config.lease * 1000)
        with self._database.writing() as connection:
            for feedback_id, callback in held:
                mine = [table.c.feedback == feedback_id, table.c.callback == callback, table.c.state == "pending"]
                connection.execute(sa.update(table).where(*mine).values(due_at=due))

    def settle(self, delivery: Delivery) -> None:
        """Keep how an attempt ended; with the last of its deliveries a feedback is processed."""
        with self._database.writing() as connection:
            self._settle(connection, delivery)

    def revive(self, feedback_id: str, callbacks: Sequence[str], now: datetime) -> None:
        """Make every delivery of a feedback due now that is not done, with all its attempts, and add missing ones."""
        with self._database.writing() as connection:
            found = {one.callback: one for one in self._of(connection, feedback_id)}
            for callback in callbacks:
                fresh = Delivery(feedback_id=feedback_id, callback=callback, due_at=now)
                if callback not in found:
                    row = inserting(connection, table).values(_row(fresh)).on_conflict_do_nothing()
                    connection.execute(row)
                else:
                    _write(connection, states.revived(found[callback], now))

    def finish(self, feedback_id: str) -> None:
        """Call a feedback processed if no callback has yet to be told of it."""
        with self._database.writing() as connection:
            self._finish(connection, feedback_id)

    def of(self, feedback_id: str) -> list[Delivery]:
        """Give the deliveries of one feedback, by the callbacks' names."""
        with self._database.reading() as connection:
            return self._of(connection, feedback_id)

    def next_due(self, callback: str) -> datetime | None:
        """Give when something is due for a callback; None where nothing is."""
        query = sa.select(sa.func.min(table.c.due_at)).where(table.c.callback == callback, table.c.state == "pending")
        with self._database.reading() as connection:
            due = connection.execute(query).scalar()
        return None if due is None else moment(due)

    def counts(self, tenant_id: TenantScope) -> dict[str, dict[str, Any]]:
        """Give for each callback how many deliveries are pending, delivered and dead, and their errors by class."""
        joined = table.join(rows, rows.c.id == table.c.feedback)
        query = (
            sa.select(table.c.callback, table.c.state, table.c.last_error, sa.func.count())
            .select_from(joined)
            .where(*whose(tenant_id))
            .group_by(table.c.callback, table.c.state, table.c.last_error)
            .order_by(table.c.callback, table.c.state, table.c.last_error)
        )
        found: dict[str, dict[str, Any]] = {}
        with self._database.reading() as connection:
            for callback, state, error, count in connection.execute(query):
                own = found.setdefault(callback, {"pending": 0, "delivered": 0, "dead": 0, "errors": {}})
                own[state] += count
                if error is not None:
                    own["errors"][error] = own["errors"].get(error, 0) + count
        return found

    def _of(self, connection: sa.Connection, feedback_id: str) -> list[Delivery]:
        found = connection.execute(sa.select(table).where(table.c.feedback == feedback_id).order_by(table.c.callback))
        return [_read(row) for row in found]

    def _settle(self, connection: sa.Connection, delivery: Delivery) -> None:
        # The feedback's row first: of two callbacks that end at once the second sees how the first one did.
        connection.execute(sa.select(rows.c.id).where(rows.c.id == delivery.feedback_id).with_for_update())
        _write(connection, delivery)
        if delivery.state != "pending":
            self._finish(connection, delivery.feedback_id)

    def _finish(self, connection: sa.Connection, feedback_id: str) -> None:
        open_ = sa.exists().where(table.c.feedback == feedback_id, table.c.state == "pending")
        done = [rows.c.id == feedback_id, rows.c.status == FeedbackStatus.PENDING.value, ~open_]
        connection.execute(sa.update(rows).where(*done).values(status=FeedbackStatus.PROCESSED.value))


def _write(connection: sa.Connection, delivery: Delivery) -> None:
    mine = [table.c.feedback == delivery.feedback_id, table.c.callback == delivery.callback]
    connection.execute(sa.update(table).where(*mine).values(_row(delivery)))


def _row(delivery: Delivery) -> dict[str, Any]:
    row = msgspec.structs.asdict(delivery)
    row["feedback"] = row.pop("feedback_id")
    row["due_at"] = milliseconds(delivery.due_at)
    return row


def _read(row: Any) -> Delivery:
    return Delivery(
        feedback_id=row.feedback,
        callback=row.callback,
        state=row.state,
        attempts=row.attempts,
        due_at=moment(row.due_at),
        last_error=row.last_error,
    )
