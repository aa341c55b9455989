"""Feedback, its texts, and how far each callback has come with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ID = sa.String(27)
NAME = sa.String(16)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "feedback",
        sa.Column("id", ID, primary_key=True),
        sa.Column("tenant", sa.Text),
        sa.Column("type", NAME, nullable=False),
        sa.Column("status", NAME, nullable=False),
        sa.Column("created_at", INT, nullable=False),
        sa.Column("rating", sa.Double),
        sa.Column("operation", sa.Text),
        sa.Column("link", NAME),
        sa.Column("model", sa.Text),
        sa.Column("prompt_version", sa.Text),
        sa.Column("text_key", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    counted = ["type", "status", "rating", "model", "prompt_version", "text_key"]
    op.create_index("feedback_of_tenant", "feedback", ["tenant", "created_at", "id", *counted])
    op.create_index("feedback_by_time", "feedback", ["created_at", "id"])
    _create_partial_index("feedback_pending", "feedback", ["type", "created_at"], "status = 'pending'")
    _create_partial_index("feedback_unverified", "feedback", ["created_at"], "link = 'unverified'")
    op.create_table(
        "feedback_texts",
        sa.Column("id", ID, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("query", "response", "content", "metadata")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feedback_deliveries",
        sa.Column("feedback", ID, primary_key=True),
        sa.Column("callback", sa.Text, primary_key=True),
        sa.Column("state", NAME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", INT, nullable=False),
        sa.Column("last_error", sa.Text),
        sqlite_with_rowid=False,
    )
    _create_partial_index("feedback_deliveries_due", "feedback_deliveries", ["callback", "due_at"], "state = 'pending'")


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
