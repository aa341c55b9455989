"""Every store on every backend that it can have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewright.storage.sql.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Give where an empty database of records is: once in SQLite, once in PostgreSQL."""
    return tmp_path / "records.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def database(database_address: str | Path) -> Iterator[Database]:
    opened = Database(database_address)
    yield opened
    opened.close()
