"""The store of operations on each backend: nothing lost, nothing twice, no tenant's among another's."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from gatewright.storage.errors import SchemaTooNew
from gatewright.storage.sql import schema
from gatewright.storage.sql.database import Database
from gatewright.storage.sql.rollups import GRAINS
from gatewright.storage.sql.rows import COLUMNS, ROLLUP_COLUMNS
from gatewright.storage.sql.sketches import mean, quantiles
from gatewright.storage.sql.store import Cutoffs, RecordStore
from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import AttemptRecord, GuardVerdict, LateAttempt, OperationRecord

NOW = 1_790_000_000
_numbers = itertools.count(1)


def record(at: float = NOW, **fields: Any) -> OperationRecord:
    id_ = int(at).to_bytes(4, "big") + next(_numbers).to_bytes(8, "big")
    usual = {
        "type": OPERATION_TYPES.index("chat"),
        "status": STATUSES.index("success"),
        "tenant": "acme",
        "model": "gpt-4o",
        "provider": "openai",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost": 1_500_000_000,
        "latency": 800_000,
    }
    return OperationRecord(id=id_, started_at=int(at * 1000), **{**usual, **fields})


@pytest.fixture
def store(database_address: str | Path) -> Iterator[RecordStore]:
    opened = RecordStore(database_address)
    yield opened
    opened.close()


def count(database: Database, table: sa.Table) -> int:
    with database.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0


def rollup_rows(database: Database, grain: str) -> Sequence[Any]:
    with database.reading() as connection:
        return connection.execute(sa.select(schema.rollups[grain]).order_by("start", "series")).mappings().all()


def test_the_columns_that_are_written_are_those_of_the_schema() -> None:
    for table, columns in COLUMNS.items():
        assert columns == tuple(column.name for column in schema.metadata.tables[table].columns)
    for grain in GRAINS:
        assert tuple(column.name for column in schema.rollups[grain].columns) == ROLLUP_COLUMNS


def test_every_field_is_stored(store: RecordStore, database: Database) -> None:
    one = record(
        agent="support",
        user="u\0ser",
        session="s-1",
        key="k-1",
        tags=("a", "b"),
        requested_model="chat",
        answered_model="gpt-4o-2024",
        deployment="chat#0",
        lane="direct",
        streamed=True,
        cached_tokens=3,
        cache_write_tokens=4,
        reasoning_tokens=5,
        estimated=True,
        price_source="catalogue",
        first_token=90_000,
        queued=7,
        overhead=8,
        retries=1,
        fallbacks=2,
        error="ProviderTimeout",
        guards=(GuardVerdict("pii", "email", "high", "redact", "output", "choices[0].text", 7),),
        attempts=(AttemptRecord("chat#0", "openai", 5, 700_000), AttemptRecord("b#0", "own", 9, 8, "RateLimited")),
        request="ask\0ed",
        answer="answered",
    )
    assert store.write([one]) == 1
    with database.reading() as connection:
        names = dict(connection.execute(sa.select(schema.names.c.id, schema.names.c.name)).all())
        row = connection.execute(sa.select(schema.operations)).mappings().one()
        series = connection.execute(sa.select(schema.series)).mappings().one()
        attempts = connection.execute(sa.select(schema.attempts).order_by("number")).mappings().all()
        content = connection.execute(sa.select(schema.contents)).mappings().one()
    named = {name: names[series[name]] for name in ("tenant", "agent", "model", "provider")}
    assert named == {"tenant": "acme", "agent": "support", "model": "gpt-4o", "provider": "openai"}
    assert (series["type"], series["status"], row["series"]) == (one.type, one.status, series["id"])
    texts = ("key", "requested_model", "answered_model", "deployment", "lane", "price_source", "error")
    assert {name: names[row[name]] for name in texts} == {name: getattr(one, name) for name in texts}
    numbers = COLUMNS["operations"][12:17] + COLUMNS["operations"][20:26] + ("cost", "started_at")
    assert {name: row[name] for name in numbers} == {name: getattr(one, name) for name in numbers}
    assert (bytes(row["id"]), row["user"], row["session"]) == (one.id, "user", "s-1")
    assert (row["streamed"], row["estimated"], row["cache"], row["saved"]) == (1, 1, None, None)
    assert names[row["tags"]] == '["a","b"]'
    assert row["guards"] == '[["pii","email","high","redact","output","choices[0].text",7]]'
    got = [(names[a["deployment"]], names[a["provider"]], a["began"], a["lasted"]) for a in attempts]
    assert got == [("chat#0", "openai", 5, 700_000), ("b#0", "own", 9, 8)]
    assert (attempts[0]["error"], names[attempts[1]["error"]]) == (None, "RateLimited")
    assert (content["request"], content["answer"]) == ("asked", "answered")


def mixed(rng: random.Random) -> OperationRecord:
    """Make an operation of which any field may be there or not."""

    def some(*values: Any) -> Any:
        return rng.choice((None, *values))

    cache = some("memory", "shared", None, None)
    return record(
        NOW + rng.randrange(7200),
        status=rng.randrange(3),
        tenant=some("acme", "other"),
        model=some("gpt-4o", "own"),
        user=some("u", "", "n\0ul"),
        session=some("s-1"),
        key=some("k-1", ""),
        tags=some(("a",), ("a", "b")) or (),
        lane=some("direct"),
        streamed=rng.random() < 0.5,
        cached_tokens=rng.randrange(2),
        cost=some(0, 7, 10**17),
        first_token=some(0, 5),
        queued=rng.randrange(2),
        retries=rng.randrange(2),
        cache=cache,
        saved=rng.randrange(100) if cache else 0,
        error=some("ProviderTimeout"),
        latency=rng.randrange(10**6),
    )


def test_a_batch_is_stored_as_its_records_are_whatever_each_of_them_has(store: RecordStore, database: Database) -> None:
    rng = random.Random(3)
    records = [mixed(rng) for _ in range(333)]
    assert store.write(records) == 333
    with database.reading() as connection:
        names = dict(connection.execute(sa.select(schema.names.c.id, schema.names.c.name)).all()) | {None: None}
        rows = {bytes(row["id"]): row for row in connection.execute(sa.select(schema.operations)).mappings()}
        series = {row["id"]: row for row in connection.execute(sa.select(schema.series)).mappings()}
    for one in records:
        row, its = rows[one.id], series[rows[one.id]["series"]]
        assert [names.get(its[name] or None) for name in ("tenant", "model")] == [one.tenant, one.model]
        assert [names[row[name]] for name in ("key", "lane", "cache", "error")] == [
            *(one.key, one.lane, one.cache, one.error)
        ]
        assert [row[name] for name in ("cost", "first_token", "latency")] == [one.cost, one.first_token, one.latency]
        assert [row[name] or 0 for name in ("queued", "retries", "saved")] == [one.queued, one.retries, one.saved]
        assert (row["cached_tokens"], row["streamed"]) == (one.cached_tokens or None, 1 if one.streamed else None)
        assert (row["user"], row["session"]) == (one.user and one.user.replace("\0", ""), one.session)
        assert names[row["tags"]] == ("[" + ",".join(f'"{tag}"' for tag in one.tags) + "]" if one.tags else None)
    paid = [one for one in records if one.cache is None]
    shared = [one for one in records if one.cache == "shared"]
    wanted = {
        "calls": 333,
        "cached_tokens": sum(one.cached_tokens for one in paid),
        "prompt_tokens": sum(one.prompt_tokens for one in paid),
        "cost": sum(one.cost or 0 for one in records),
        "unpriced": sum(one.cost is None and one.status == STATUSES.index("success") for one in records),
        "cached": 333 - len(paid) - len(shared),
        "shared": len(shared),
        "saved": sum(one.saved for one in records),
        "saved_shared": sum(one.saved for one in shared),
        "retries": sum(one.retries for one in records),
        "latency": sum(one.latency for one in records),
        "queued": sum(one.queued for one in records),
    }
    for grain in GRAINS:
        found = rollup_rows(database, grain)
        assert {name: sum(row[name] for row in found) for name in wanted} == wanted
        latencies = [row["latencies"] for row in found]
        assert mean(latencies) == pytest.approx(wanted["latency"] / 333, rel=1e-6)


def test_what_was_written_before_is_not_counted_again(store: RecordStore, database: Database) -> None:
    first = [record(attempts=(AttemptRecord("d", "p", 0, 1),)) for _ in range(10)]
    assert store.write(first) == 10
    more = [record() for _ in range(5)]
    assert store.write([*first[:7], *more, *first[7:], *more]) == 5
    assert store.write(first) == 0
    assert count(database, schema.operations) == 15
    assert count(database, schema.attempts) == 10
    for grain in GRAINS:
        (row,) = rollup_rows(database, grain)
        assert (row["calls"], row["cost"]) == (15, 15 * 1_500_000_000)


def test_another_process_that_writes_the_same_counts_it_once(
    store: RecordStore, database: Database, database_address: str | Path
) -> None:
    batches = [[record(tenant=f"t{number % 7}") for number in range(40)] for _ in range(6)]
    others = [RecordStore(database_address) for _ in range(3)]
    written: list[int] = []

    def write(one: RecordStore) -> None:
        written.extend(one.write(batch) for batch in batches)

    threads = [threading.Thread(target=write, args=(one,)) for one in (store, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert sum(written) == 240
    assert count(database, schema.operations) == 240
    assert sum(row["calls"] for row in rollup_rows(database, "day")) == 240


def test_rollups_add_up_by_series_and_time(store: RecordStore, database: Database) -> None:
    minute, hour, day = NOW // 60 * 60, NOW // 3600 * 3600, NOW // 86400 * 86400
    store.write([record(minute, latency=100), record(minute + 59, latency=300, first_token=50, queued=7, overhead=9)])
    store.write([record(minute + 60), record(minute, status=STATUSES.index("error"), cost=None, model="other")])
    minutes = {(row["start"], row["calls"]): row for row in rollup_rows(database, "minute")}
    assert set(minutes) == {(minute, 2), (minute, 1), (minute + 60, 1)}
    both = minutes[minute, 2]
    assert (both["prompt_tokens"], both["completion_tokens"], both["latency"]) == (200, 40, 400)
    assert (both["queued"], both["overhead"], both["unpriced"]) == (7, 9, 0)
    assert quantiles([both["latencies"]], 0.0, 1.0) == [100.0, 300.0]
    assert quantiles([both["first_tokens"]], 0.5) == [50.0]
    assert sorted((row["start"], row["calls"]) for row in rollup_rows(database, "hour")) == [(hour, 1), (hour, 3)]
    assert sorted((row["start"], row["calls"]) for row in rollup_rows(database, "day")) == [(day, 1), (day, 3)]


def test_cached_and_shared_answers_cost_nothing_and_save(store: RecordStore, database: Database) -> None:
    store.write(
        [
            record(),
            record(cache="memory", cost=0, saved=1_500_000_000),
            record(cache="shared", cost=0, saved=1_500_000_000),
            record(cost=None),
        ]
    )
    (row,) = rollup_rows(database, "hour")
    assert (row["calls"], row["cached"], row["shared"], row["unpriced"]) == (4, 1, 1, 1)
    assert (row["prompt_tokens"], row["cost"], row["saved"]) == (200, 1_500_000_000, 3_000_000_000)
    assert row["saved_shared"] == 1_500_000_000


def test_an_attempt_that_ended_late_is_added(store: RecordStore, database: Database) -> None:
    one = record(attempts=(AttemptRecord("a", "p", 0, 1),))
    late = LateAttempt(one.id, 2, AttemptRecord("b", "p", 3, 4, "ConnectionFailed"))
    store.write([one], [late])
    store.write([], [late])
    assert count(database, schema.attempts) == 2


def test_no_tenants_operations_are_among_anothers(store: RecordStore, database: Database) -> None:
    tenants = [None, "", "a", "A", "a ", "a\0"[:1], "0", "null", "None", "ä", "a%", "a_"]
    wanted: dict[str | None, set[bytes]] = {}
    records = [record(tenant=tenant) for tenant in tenants for _ in range(3)]
    for one in records:
        wanted.setdefault(one.tenant, set()).add(one.id)
    store.write(records)
    names, series, operations = schema.names, schema.series, schema.operations
    joined = operations.join(series, operations.c.series == series.c.id)
    with database.reading() as connection:
        for tenant, ids in wanted.items():
            number = (
                schema.NONE
                if tenant is None
                else connection.execute(sa.select(names.c.id).where(names.c.name == tenant)).scalar_one()
            )
            found = connection.execute(sa.select(operations.c.id).select_from(joined).where(series.c.tenant == number))
            assert {bytes(row[0]) for row in found} == ids


def test_what_is_old_is_dropped_piece_by_piece(store: RecordStore, database: Database) -> None:
    days = [NOW - back * 86400 for back in range(40)]
    for day in days:
        store.write([record(day + place, request="q", attempts=(AttemptRecord("d", "p", 0, 1),)) for place in range(5)])
    cutoffs = Cutoffs(operations=NOW - 30 * 86400, contents=NOW - 7 * 86400, minutes=NOW - 2 * 86400, hours=None)
    steps = 1
    while store.retain(cutoffs):
        steps += 1
    # A whole day of PostgreSQL's is dropped when all of it is old; SQLite drops to the second.
    slack = 5 if database.dialect == "postgresql" else 0
    assert count(database, schema.operations) in range(150, 156 + slack)
    assert count(database, schema.attempts) == count(database, schema.operations)
    assert count(database, schema.contents) in range(35, 41 + slack)
    assert len(rollup_rows(database, "minute")) <= 4
    assert len(rollup_rows(database, "hour")) == len(rollup_rows(database, "day")) == 40
    assert sum(row["calls"] for row in rollup_rows(database, "day")) == 200
    assert store.write([record(NOW - 35 * 86400)]) == 1


def test_hours_are_dropped_by_months(store: RecordStore, database: Database) -> None:
    store.write([record(NOW - back * 86400) for back in range(0, 100, 10)])
    while store.retain(Cutoffs(hours=NOW - 50 * 86400)):
        pass
    assert len(rollup_rows(database, "hour")) in range(5, 9)
    assert len(rollup_rows(database, "day")) == 10


def test_a_schema_newer_than_the_program_is_refused(store: RecordStore, database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        store.write([record()])


def test_a_batch_that_fails_leaves_nothing_behind(store: RecordStore, database: Database) -> None:
    good = record(tenant="good")
    with pytest.raises((OverflowError, psycopg.DataError)):
        store.write([good, record(tenant="bad", prompt_tokens=10**30)])
    assert count(database, schema.operations) == 0
    assert count(database, schema.names) == 0
    assert store.write([good]) == 1
    assert count(database, schema.operations) == 1


def test_a_forked_child_leaves_the_parents_connection_alone(store: RecordStore, database: Database) -> None:
    theirs = record()
    store.write([record()])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.abandon()
            status = 0 if store.write([theirs]) == 1 else 2
            store.close()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.write([record()]) == 1
    assert count(database, schema.operations) == 3
