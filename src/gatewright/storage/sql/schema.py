"""The tables of the records, one schema for SQLite and PostgreSQL.

Times are integers: `started_at` milliseconds since 1970, `start` of a rollup seconds since 1970, durations
microseconds. Money is an integer of 10⁻¹² US dollars, so that it adds up exactly. What repeats (tenants, models,
deployments …) is a number from `names`; 0 is "none". An operation's id is 12 bytes, of which the first four are the
second in which it began: rows lie in the order of time, and a part of the time is a range of ids.
"""

from __future__ import annotations

import sqlalchemy as sa

from gatewright.storage.sql.rollups import GRAINS

__all__ = [
    "NONE",
    "attempts",
    "contents",
    "metadata",
    "names",
    "operations",
    "rollups",
    "series",
]

metadata = sa.MetaData()

NONE = 0
"""The number of what is not there: no tenant, no agent, no provider."""
_Id = sa.LargeBinary(12)
_Int = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Code = sa.SmallInteger()


def _number(name: str, kind: sa.types.TypeEngine[int] = _Int) -> sa.Column[int]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text("0"))


names = sa.Table(
    "names",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
)

# Whose, at which model, and how it ended: what reports tell apart. `type` and `status` are places in
# `OPERATION_TYPES` and `STATUSES`; `model` is the deployment's own name for it, or the one asked for where none was.
series = sa.Table(
    "series",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Integer, nullable=False),
    sa.Column("agent", sa.Integer, nullable=False),
    sa.Column("model", sa.Integer, nullable=False),
    sa.Column("provider", sa.Integer, nullable=False),
    sa.Column("type", _Code, nullable=False),
    sa.Column("status", _Code, nullable=False),
    sa.UniqueConstraint("tenant", "agent", "model", "provider", "type", "status", name="series_key"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("started_at", _Int, nullable=False),
    sa.Column("user", sa.Text),
    sa.Column("session", sa.Text),
    sa.Column("key", sa.Integer),
    sa.Column("tags", sa.Integer),  # the name is a JSON list
    sa.Column("requested_model", sa.Integer),
    sa.Column("answered_model", sa.Integer),
    sa.Column("deployment", sa.Integer),
    sa.Column("lane", sa.Integer),
    sa.Column("streamed", _Code),
    sa.Column("prompt_tokens", _Int),
    sa.Column("completion_tokens", _Int),
    sa.Column("cached_tokens", _Int),
    sa.Column("cache_write_tokens", _Int),
    sa.Column("reasoning_tokens", _Int),
    sa.Column("estimated", _Code),  # 1 where the tokens were counted here and not by the provider
    sa.Column("cost", _Int),  # NULL where the price is not known
    sa.Column("price_source", sa.Integer),
    sa.Column("latency", _Int),
    sa.Column("first_token", _Int),
    sa.Column("queued", _Int),
    sa.Column("overhead", _Int),
    sa.Column("retries", _Code),
    sa.Column("fallbacks", _Code),
    sa.Column("cache", sa.Integer),  # the tier that answered, or "shared"
    sa.Column("saved", _Int),  # what a cached or shared answer would have cost
    sa.Column("error", sa.Integer),
    sa.Column("guards", sa.Text),  # a JSON list of verdicts
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (id)",
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("operation", _Id, primary_key=True),
    sa.Column("number", _Code, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.Integer, nullable=False),
    sa.Column("provider", sa.Integer, nullable=False),
    sa.Column("began", _Int, nullable=False),  # microseconds after the operation
    sa.Column("lasted", _Int, nullable=False),
    sa.Column("error", sa.Integer),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (operation)",
)

contents = sa.Table(
    "contents",
    metadata,
    sa.Column("operation", _Id, primary_key=True),
    sa.Column("request", sa.Text),
    sa.Column("answer", sa.Text),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (operation)",
)


def _rollups(grain: str, *, partitioned: bool) -> sa.Table:
    """Make the sums of all operations of a series that began within one `grain`; see `sketches` for the last two."""
    return sa.Table(
        f"rollups_{grain}",
        metadata,
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", _Int, primary_key=True, autoincrement=False),
        _number("calls"),
        _number("prompt_tokens"),
        _number("completion_tokens"),
        _number("cached_tokens"),
        _number("reasoning_tokens"),
        _number("cost"),
        _number("unpriced"),  # answered operations whose price is not known
        _number("cached"),  # answered from a cache
        _number("shared"),  # answered with another call's answer
        _number("saved"),  # by both of these together
        _number("retries"),
        _number("fallbacks"),
        _number("latency"),
        _number("queued"),
        _number("overhead"),
        _number("saved_shared"),  # of what was saved, the part of shared answers
        sa.Column("latencies", sa.LargeBinary),
        sa.Column("first_tokens", sa.LargeBinary),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (start)" if partitioned else None,
    )


rollups = {grain: _rollups(grain, partitioned=grain != "day") for grain in GRAINS}
# What people say of answers. `created_at` is in milliseconds since 1970; a tenant of NULL is none.
feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", sa.String(27), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", _Int, nullable=False),
    sa.Column("rating", sa.Double),
    sa.Column("operation", sa.Text),
    sa.Column("link", sa.String(16)),
    sa.Column("model", sa.Text),
    sa.Column("prompt_version", sa.Text),
    sa.Column("text_key", sa.BigInteger),  # the same for texts of the same normal form
    # Everything that is counted by: counting reads the index alone.
    sa.Index(
        "feedback_of_tenant",
        *("tenant", "created_at", "id", "type", "status", "rating", "model", "prompt_version", "text_key"),
    ),
    sa.Index("feedback_by_time", "created_at", "id"),
    sqlite_with_rowid=False,
)
_PENDING = sa.text("status = 'pending'")
sa.Index(
    "feedback_pending",
    feedback.c.type,
    feedback.c.created_at,
    postgresql_where=_PENDING,
    sqlite_where=_PENDING,
)
_UNVERIFIED = sa.text("link = 'unverified'")
sa.Index("feedback_unverified", feedback.c.created_at, postgresql_where=_UNVERIFIED, sqlite_where=_UNVERIFIED)

# The long texts lie apart: counting reads the short rows only.
feedback_texts = sa.Table(
    "feedback_texts",
    metadata,
    sa.Column("id", sa.String(27), primary_key=True),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("response", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),  # a JSON object
    sqlite_with_rowid=False,
)

feedback_deliveries = sa.Table(
    "feedback_deliveries",
    metadata,
    sa.Column("feedback", sa.String(27), primary_key=True),
    sa.Column("callback", sa.Text, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", _Int, nullable=False),
    sa.Column("last_error", sa.Text),
    sqlite_with_rowid=False,
)
_OPEN = sa.text("state = 'pending'")
sa.Index(
    "feedback_deliveries_due",
    feedback_deliveries.c.callback,
    feedback_deliveries.c.due_at,
    postgresql_where=_OPEN,
    sqlite_where=_OPEN,
)
