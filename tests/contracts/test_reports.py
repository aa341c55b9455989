"""Reports on each backend: they are what the operations add up to, and no tenant's are among another's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gatewright.llmops.reports import Reports
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql import operation_rows as rows
from gatewright.storage.sql.reading import RecordReader
from gatewright.storage.sql.store import RecordStore
from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import OperationRecord

NOW = 1_790_000_000.0
DAY = 86400
TENANTS = [None, "acme", "ACME", "acme ", "a%", "a_", "none", "", "0", "ä", "'; --"]
_numbers = itertools.count(1)


@pytest.fixture
def store(database_address: str | Path) -> Iterator[RecordStore]:
    opened = RecordStore(database_address)
    yield opened
    opened.close()


@pytest.fixture
def reports(database_address: str | Path) -> Iterator[Reports]:
    opened = Reports(database_address, wall=lambda: NOW)
    yield opened
    opened.close()


def operations(rng: random.Random, count: int) -> list[OperationRecord]:
    return [_operation(rng) for _ in range(count)]


def _operation(rng: random.Random) -> OperationRecord:
    at = NOW - rng.choice([0, 60, 3600, DAY, 10 * DAY]) * rng.random()
    cache = rng.choice([None, None, None, "memory", "shared"])
    return OperationRecord(
        id=int(at).to_bytes(4, "big") + next(_numbers).to_bytes(8, "big"),
        started_at=int(at * 1000),
        tenant=rng.choice(TENANTS),
        agent=rng.choice([None, "sales", "support"]),
        model=rng.choice(["m", "n"]),
        provider=rng.choice(["p", "q"]),
        type=rng.randrange(len(OPERATION_TYPES)),
        status=rng.randrange(len(STATUSES)),
        prompt_tokens=rng.randrange(5000),
        completion_tokens=rng.randrange(500),
        cost=rng.choice([None, 0, rng.randrange(10**12)]) if cache is None else 0,
        latency=rng.randrange(1, 10**7),
        cache=cache,
        saved=rng.randrange(10**12) if cache else 0,
        retries=rng.randrange(3),
    )


def _expected(records: Sequence[OperationRecord]) -> dict[str, Any]:
    paid = [one for one in records if one.cache is None]
    return {
        "total_operations": len(records),
        "total_tokens": sum(one.prompt_tokens + one.completion_tokens for one in paid),
        "total_cost_usd": sum(one.cost or 0 for one in records) / 10**12,
        "total_retries": sum(one.retries for one in records),
        "cache_hits": sum(one.cache == "memory" for one in records),
        "deduplicated_operations": sum(one.cache == "shared" for one in records),
        "successful_operations": sum(one.status == 0 for one in records),
        "average_latency_ms": sum(one.latency for one in records) / 1000 / max(1, len(records)),
    }


@pytest.mark.parametrize("seed", range(3))
def test_reports_are_what_the_operations_add_up_to_and_no_tenants_are_among_anothers(
    store: RecordStore, reports: Reports, seed: int
) -> None:
    rng = random.Random(seed)
    records = operations(rng, 600)
    for start in range(0, len(records), 150):
        store.write(records[start : start + 150])
    for tenant, agent in itertools.product([*TENANTS, "nobody"], [None, "sales"]):
        if tenant == "":
            continue  # cannot be asked for
        theirs = [one for one in records if tenant in (None, one.tenant) and agent in (None, one.agent)]
        for hours in (1, 24, 24 * 30):
            # What is within a minute of the window's edge may be in or out.
            edge = NOW - hours * 3600
            if any(edge - 60 <= one.started_at / 1000 <= edge + 60 for one in theirs):
                continue
            wanted = [one for one in theirs if one.started_at / 1000 > edge]
            found = reports.metrics(tenant, agent, hours)
            expected = _expected(wanted)
            assert {name: found[name] for name in expected} == pytest.approx(expected)
            assert sum(point["operations"] for point in found["time_series"]) == len(wanted)
            costs = reports.costs(tenant, agent, hours)
            assert costs["total_cost_usd"] == pytest.approx(expected["total_cost_usd"])
            saved = sum(one.saved for one in wanted) / 10**12
            assert costs["saved_by_cache_usd"] + costs["saved_by_deduplication_usd"] == pytest.approx(saved)
            if tenant is not None:
                assert set(costs["by_tenant"]) <= {tenant, repr(tenant)}
                assert set(found["by_tenant"]) <= {tenant, repr(tenant)}


def test_quantiles_of_many_operations(store: RecordStore, reports: Reports) -> None:
    rng = random.Random(5)
    records = [_operation(rng) for _ in range(4000)]
    for record in records:
        record.latency = int(rng.lognormvariate(13, 0.7))
    for start in range(0, len(records), 400):
        store.write(records[start : start + 400])
    found = reports.metrics(None, None, 24 * 30)
    latencies = sorted(one.latency / 1000 for one in records)
    for share in (50, 95, 99):
        assert found[f"p{share}_latency_ms"] == pytest.approx(latencies[len(latencies) * share // 100], rel=0.03)


def test_a_reader_sees_what_was_written_since(store: RecordStore, reports: Reports) -> None:
    rng = random.Random(1)
    for count in range(1, 4):
        store.write(operations(rng, 1))
        assert reports.metrics(None, None, 24 * 30)["total_operations"] == count


def test_operations_are_read_one_by_one_with_their_names(store: RecordStore, database_address: str | Path) -> None:
    records = sorted(operations(random.Random(2), 300), key=lambda one: one.id)
    records[7].tags, records[7].key, records[7].error = ("a", "b"), "key-1", "ProviderTimeout"
    store.write(records)
    reader = RecordReader(database_address)
    with reader.snapshot() as snapshot:
        assert snapshot is not None
        found = list(rows.operations(snapshot, rows.Chosen()))
        theirs = list(rows.operations(snapshot, rows.Chosen(tenant="a%", status="success", model="m")))
        assert rows.count_of(snapshot, rows.Chosen(tenant="a%", status="success", model="m")) == len(theirs)
    reader.close()
    assert [one.id for one in found] == [f"req_{one.id.hex()}" for one in records]
    assert [(one.tenant, one.cost, one.cache) for one in found] == [
        (one.tenant, one.cost, one.cache) for one in records
    ]
    assert (found[7].tags, found[7].key, found[7].error) == (["a", "b"], "key-1", "ProviderTimeout")
    wanted = [one for one in records if (one.tenant, one.status, one.model) == ("a%", 0, "m")]
    assert [one.id for one in theirs] == [f"req_{one.id.hex()}" for one in wanted]
    assert wanted


def test_a_database_that_is_gone_is_said_so(tmp_path: Path) -> None:
    broken = tmp_path / "records.sqlite"
    broken.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailable):
        Reports(broken).metrics(None, None, 24)
    nowhere = RecordReader("postgresql://gatewright@127.0.0.1:9/none")
    with pytest.raises(StoreUnavailable), nowhere.snapshot():
        raise AssertionError("not reached")
