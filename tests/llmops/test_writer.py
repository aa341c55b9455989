"""The thread that drains the journal: one for a directory, whatever the store and the records are like."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.records import Records
from gatewright.llmops.retention import Retention
from gatewright.llmops.writer import Writer
from gatewright.storage.errors import SchemaTooNew
from gatewright.storage.journal import Journal
from gatewright.storage.sql.store import RecordStore
from gatewright.types.records import OperationRecord, encode_record

NOW = int(time.time())


def record(number: int, **fields: object) -> OperationRecord:
    id_ = NOW.to_bytes(4, "big") + number.to_bytes(8, "big")
    return OperationRecord(id_, NOW * 1000, 1, 0, tenant="acme", model="m", cost=1, **fields)  # type: ignore[arg-type]


def until(met: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def count(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "r.sqlite")) as connection:
        return connection.execute("SELECT count(*) FROM operations").fetchone()[0]


Start = Callable[..., Writer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Writer] = []

    def start(**settings: object) -> Writer:
        config = RecordsConfig(**{"interval": 0.02, **settings})
        journal = Journal(tmp_path / "j")
        journal.open()
        writer = Writer(journal, RecordStore(tmp_path / "r.sqlite"), config)
        writer.start()
        made.append(writer)
        return writer

    yield start
    for writer in made:
        writer._journal.close()
        writer.stop(10)


def test_a_flush_has_everything_stored(start: Start, tmp_path: Path) -> None:
    writer = start()
    for number in range(5000):
        writer._journal.append(encode_record(record(number)))
    assert writer.flush(20)
    assert (count(tmp_path), writer.written, writer.backlog) == (5000, 5000, 0)


def test_one_of_several_drains_for_all(start: Start, tmp_path: Path) -> None:
    writers = [start() for _ in range(3)]
    for number in range(300):
        writers[number % 3]._journal.append(encode_record(record(number)))
    for writer in writers:
        writer.wake()
    until(lambda: (tmp_path / "r.sqlite").exists() and sum(writer.written for writer in writers) == 300)
    assert sorted(writer.here for writer in writers) == [False, False, True]
    (draining,) = [writer for writer in writers if writer.here]
    assert draining.written == 300
    draining.stop(10)
    draining._journal.close()
    others = [writer for writer in writers if writer is not draining]
    others[0]._journal.append(encode_record(record(300)))
    until(lambda: (others[0].wake(), others[1].wake(), count(tmp_path) == 301)[2])


def test_a_record_that_no_store_takes_is_set_aside_and_the_others_stored(start: Start, tmp_path: Path) -> None:
    writer = start()
    for number in range(20):
        writer._journal.append(encode_record(record(number)))
        if number == 7:
            writer._journal.append(encode_record(record(100, prompt_tokens=2**63)))
        if number == 12:
            writer._journal.append(b"of a newer program")
    assert writer.flush(20)
    assert (count(tmp_path), writer.rejected, writer.backlog) == (20, 2, 0)
    assert b"of a newer program" in (tmp_path / "j" / "rejected.records").read_bytes()


def test_a_store_of_a_newer_program_is_left_alone_and_the_records_kept(start: Start, tmp_path: Path) -> None:
    RecordStore(tmp_path / "r.sqlite").check()
    with closing(sqlite3.connect(tmp_path / "r.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    writer = start()
    writer._journal.append(encode_record(record(1)))
    assert not writer.flush(20)
    assert isinstance(writer.failure, SchemaTooNew)
    assert writer.backlog > 0
    with closing(sqlite3.connect(tmp_path / "r.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = (SELECT '0002')")


def test_a_program_that_ends_without_closing_leaves_its_records_to_the_next(tmp_path: Path) -> None:
    code = (
        "import gatewright; "
        f"gateway = gatewright.create_gateway(['simulator'], 'simulator/m', data_dir={str(tmp_path)!r}); "
        "[gateway.generate(f'{number}') for number in range(3)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    records = Records.of(tmp_path)
    assert records.flush(20)
    records.release(5)
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM operations").fetchone() == (3,)


def test_what_is_kept_for_how_long_is_counted_back_from_now() -> None:
    store = RecordStore(Path("/nowhere/r.sqlite"))
    days = {"keep_operations": 30, "keep_content": 60, "keep_minutes": None, "keep_hours": 90}
    cutoffs = Retention(store, RecordsConfig(**days), wall=lambda: 100 * 86400.0).cutoffs()
    assert cutoffs == (70 * 86400, 70 * 86400, None, 10 * 86400)
