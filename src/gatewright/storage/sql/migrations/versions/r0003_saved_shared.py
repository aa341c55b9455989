"""What was saved is told apart: by caches, and by sharing answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a column to each of the rollups."""
    for grain in ("minute", "hour", "day"):
        column = sa.Column("saved_shared", INT, nullable=False, server_default=sa.text("0"))
        op.add_column(f"rollups_{grain}", column)
