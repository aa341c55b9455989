"""Where a database of records is."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from gatewright.errors import ConfigurationError

__all__ = ["address_of", "store_name"]

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


def address_of(where: str | Path) -> Path | str:
    """Give the path of a SQLite file, or a `postgresql://…` URL; an error never shows the URL, which has a password."""
    if isinstance(where, Path):
        return where
    scheme, separator, rest = where.partition("://")
    if separator and scheme in _POSTGRESQL and rest:
        return f"postgresql://{rest}"
    if separator and scheme == "sqlite" and len(rest) > 1:
        return Path(rest[1:])
    raise ConfigurationError(
        "database_url: expected postgresql://user:password@host/database, or sqlite:///path", param="database_url"
    )


def store_name(where: Path | str) -> str:
    """Name a database for what waits for it on the local disk: what is for one is not brought into another.

    Whoever changes the password of a URL finds the same name.
    """
    if isinstance(where, Path):
        return f"sqlite-{_digest(str(where.absolute()))}"
    return f"postgresql-{_digest(where.partition('://')[2].rpartition('@')[2])}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
