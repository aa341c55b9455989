"""A database of records: its schema, its migrations, its transactions."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gatewright.errors import ConfigurationError
from gatewright.storage.errors import SchemaTooNew, StoreUnavailable
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.migrating import migrate, revision_of
from gatewright.storage.sql.revisions import HEAD, REVISIONS
from gatewright.storage.sql.schema import metadata, names
from gatewright.storage.sql.store import RecordStore


def test_all_revisions_together_make_the_schema(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert revision_of(connection) == HEAD


def test_revisions_follow_each_other() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS


def test_many_that_open_it_at_once_migrate_it_once(database_address: str | Path) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        own = Database(database_address)
        try:
            own.check()
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_schema_newer_than_the_program_is_refused(database: Database, database_address: str | Path) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    other = Database(database_address)
    with pytest.raises(SchemaTooNew, match=r"9999.*upgrade this one"):
        other.check()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as connection:
        connection.execute(sa.insert(names).values(name="x"))
        raise RuntimeError
    with database.reading() as connection:
        assert connection.execute(sa.select(names)).all() == []


def test_a_reader_sees_one_state_throughout(database: Database) -> None:
    counting = sa.select(sa.func.count()).select_from(names)
    with database.reading() as reader:
        assert reader.execute(counting).scalar() == 0
        with database.writing() as writer:
            writer.execute(sa.insert(names).values(name="x"))
        assert reader.execute(counting).scalar() == 0
    with database.reading() as reader:
        assert reader.execute(counting).scalar() == 1


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        Database(tmp_path / "nowhere" / "records.sqlite").check()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Database(path).check()


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="refused"):
        Database("postgresql://someone:secret@127.0.0.1:1/records").check()


@pytest.mark.parametrize("url", ["mysql://u:secret@host/db", "not a url", "sqlite://", "redis://:secret@host"])
def test_an_address_of_another_kind_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database_url: expected postgresql://") as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_its_repr_hides_the_password() -> None:
    assert "secret" not in repr(Database("postgresql://someone:secret@host/records"))


def test_what_the_first_revision_kept_is_there_after_all_others(
    database_address: str | Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("gatewright.storage.sql.database.migrate", lambda one: migrate(one, "0001"))
        old = Database(database_address)
        with old.writing() as connection:
            connection.execute(sa.insert(names).values(name="kept"))
            assert revision_of(connection) == "0001"
        old.close()
    assert len(REVISIONS) > 1
    store = RecordStore(database_address)
    store.check()
    store.close()
    new = Database(database_address)
    with new.reading() as connection:
        assert revision_of(connection) == HEAD
        assert connection.execute(sa.select(names.c.name)).scalars().all() == ["kept"]
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    new.close()
