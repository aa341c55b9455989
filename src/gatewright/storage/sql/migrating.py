"""Brings a database to this program's schema, under a lock, and refuses one that is newer."""

from __future__ import annotations

import sqlalchemy as sa

from gatewright.storage.errors import SchemaTooNew
from gatewright.storage.sql.revisions import HEAD, REVISIONS

__all__ = ["migrate", "revision_of"]

_LOCK = 0x6761_7465_7772_6967  # PostgreSQL's advisory locks are numbers: this one is "gatewrig"


def migrate(connection: sa.Connection, target: str = HEAD) -> bool:
    """Bring the database to `target` in the connection's transaction; True where anything was to be done.

    The transaction must be one that writes: in SQLite it holds the file's only write lock, in PostgreSQL the advisory
    lock is taken here, so that of several processes that start at once one migrates and the others find it done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = revision_of(connection)
    if found is not None and found not in REVISIONS:
        raise SchemaTooNew(
            f"the records' schema is {found} and this program knows it up to {HEAD}: a newer Gatewright wrote them; "
            "upgrade this one, or give it another data_dir or database_url"
        )
    if found is not None and found >= target:
        return False
    _upgrade(connection, target)
    return True


def revision_of(connection: sa.Connection) -> str | None:
    """Give the revision that a database is at; None for one that has no tables yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: sa.Connection, target: str) -> None:
    # Alembic takes 0.1 s to import: only where there is something to migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "gatewright.storage.sql:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
