"""How fast records go from the journal into SQLite and PostgreSQL, and how much room they take there."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.records_sample import sample
from benchmarks.report import Row
from gatewright.llmops.config import RecordsConfig
from gatewright.llmops.writer import Writer
from gatewright.storage.journal import Journal
from gatewright.storage.sql.store import RecordStore
from gatewright.types.records import encode_record

ABOUT = "The journal of 20 tenants drained into a store, batches as the gateway makes them; then the size of the file"
SQLITE, POSTGRESQL, BYTES = 20_000, 10_000, 350
SIZED = 1_000_000


def run(quick: bool) -> Iterator[Row]:
    """Drain a journal into each store; then write a million operations of one day and look at the file."""
    count, rounds = (4_000, 2) if quick else (60_000, 5)
    with tempfile.TemporaryDirectory() as directory:
        yield _drained("SQLite", Path(directory) / "r.sqlite", count, rounds, SQLITE)
    with _postgresql() as url:
        yield _drained("PostgreSQL", url, count, rounds, POSTGRESQL)
    yield from _size(20_000 if quick else SIZED)


def _drained(name: str, where: str | Path, count: int, rounds: int, limit: float) -> Row:
    store, rates, cpu = RecordStore(where), [], []
    store.check()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            journal = Journal(Path(directory))
            for record in sample(count, 30.0, seed=number):
                journal.append(encode_record(record))
            writer = Writer(journal, store, RecordsConfig())
            spent, began = time.process_time(), time.perf_counter()
            writer.start()
            if not writer.flush(600) or writer.written != count:
                raise RuntimeError(f"{writer.written} of {count} records were written: {writer.failure}")
            rates.append(count / (time.perf_counter() - began))
            cpu.append((time.process_time() - spent) / count * 1e6)
            journal.close()
            writer.stop(10)
    best = max(rates)
    return Row(
        f"{name}, the best of {rounds} rounds", f"{best:,.0f} records/s", f"{min(cpu):.1f} µs of CPU a record", "",
        f">= {limit:,.0f}", best >= limit, {"records_per_second": rates, "cpu_us": cpu},
    )  # fmt: skip


def _size(count: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "r.sqlite"
        store = RecordStore(path)
        records = sample(count, 86_400.0 * count / SIZED)
        while batch := list(itertools.islice(records, 2000)):
            store.write(batch)
        store.close()
        each = path.stat().st_size / count
    yield Row(
        f"SQLite file, {count:,} operations of a day", f"{each:.0f} bytes each", "", "", f"<= {BYTES}", each <= BYTES
    )


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    """Start the tests' own PostgreSQL, with the disk's part left out: what is measured is our side and its CPU."""
    from tests.servers import postgres

    programs = postgres.programs()
    if programs is None:
        raise RuntimeError("it needs postgres: apt-get install postgresql")
    template = postgres.Template(programs)
    server = postgres.PostgresServer(template)
    try:
        server.start()
        yield server.url
    finally:
        server.remove()
        template.remove()
