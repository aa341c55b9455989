"""Operations, their attempts and contents, and the rollups.

A revision is never changed once it is released. A new one is a file `r<number>_<what>.py` beside this one, with the
number as its `revision` and the one before as its `down_revision`; `schema.py` is what all of them together make.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CODE = sa.SmallInteger()
ID = sa.LargeBinary(12)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "names",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("tenant", "agent", "model", "provider")),
        *(sa.Column(name, CODE, nullable=False) for name in ("type", "status")),
        sa.UniqueConstraint("tenant", "agent", "model", "provider", "type", "status", name="series_key"),
    )
    _operations()
    for grain in ("minute", "hour", "day"):
        _rollups(grain, partition_by=None if grain == "day" else "RANGE (start)")


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", ID, primary_key=True),
        sa.Column("series", sa.Integer, nullable=False),
        sa.Column("started_at", INT, nullable=False),
        sa.Column("user", sa.Text),
        sa.Column("session", sa.Text),
        *_of(sa.Integer(), "key", "tags", "requested_model", "answered_model", "deployment", "lane"),
        *_of(CODE, "streamed"),
        *_of(INT, "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
        *_of(CODE, "estimated"),
        *_of(INT, "cost"),
        *_of(sa.Integer(), "price_source"),
        *_of(INT, "latency", "first_token", "queued", "overhead"),
        *_of(CODE, "retries", "fallbacks"),
        *_of(sa.Integer(), "cache"),
        *_of(INT, "saved"),
        *_of(sa.Integer(), "error"),
        sa.Column("guards", sa.Text),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (id)",
    )
    op.create_table(
        "attempts",
        sa.Column("operation", ID, primary_key=True),
        sa.Column("number", CODE, primary_key=True, autoincrement=False),
        sa.Column("deployment", sa.Integer, nullable=False),
        sa.Column("provider", sa.Integer, nullable=False),
        sa.Column("began", INT, nullable=False),
        sa.Column("lasted", INT, nullable=False),
        sa.Column("error", sa.Integer),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (operation)",
    )
    op.create_table(
        "contents",
        sa.Column("operation", ID, primary_key=True),
        sa.Column("request", sa.Text),
        sa.Column("answer", sa.Text),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (operation)",
    )


def _rollups(grain: str, partition_by: str | None) -> None:
    sums = (
        "calls prompt_tokens completion_tokens cached_tokens reasoning_tokens cost unpriced cached shared saved "
        "retries fallbacks latency queued overhead"
    )
    op.create_table(
        f"rollups_{grain}",
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", INT, primary_key=True, autoincrement=False),
        *(sa.Column(name, INT, nullable=False, server_default=sa.text("0")) for name in sums.split()),
        sa.Column("latencies", sa.LargeBinary),
        sa.Column("first_tokens", sa.LargeBinary),
        sqlite_with_rowid=False,
        postgresql_partition_by=partition_by,
    )


def _of(kind: sa.types.TypeEngine[int], *named: str) -> list[sa.Column[int]]:
    return [sa.Column(name, kind) for name in named]
