"""Whatever tenants do, their operations and their sums are their own."""

from __future__ import annotations

import collections
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.storage.sql.store import RecordStore
from gatewright.types.records import OperationRecord

NOW = 1_790_000_000
# Names that a careless key would mix up, and any others.
NAMES = st.one_of(
    st.none(), st.sampled_from(["a", "A", "a ", "0", "", "None", "a|b", "|", "%", "ä", "a\u0308"]), st.text()
)
Call = tuple[str | None, str | None, str, str | None]
CALLS = st.lists(st.tuples(NAMES, NAMES, st.sampled_from(["m", "n"]), NAMES), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(calls=CALLS, cut=st.integers(0, 40))
def test_each_tenant_has_its_own_and_nothing_else(calls: Sequence[Call], cut: int) -> None:
    records = [
        OperationRecord(
            NOW.to_bytes(4, "big") + number.to_bytes(8, "big"),
            NOW * 1000,
            1,
            0,
            tenant=_storable(tenant),
            agent=_storable(agent),
            model=model,
            user=_storable(user),
            cost=1 << number,
        )
        for number, (tenant, agent, model, user) in enumerate(calls)
    ]
    with tempfile.TemporaryDirectory() as directory:
        store = RecordStore(Path(directory) / "r.sqlite")
        store.write(records[:cut])
        store.write(records)
        store.close()
        with closing(sqlite3.connect(Path(directory) / "r.sqlite")) as connection:
            names = {0: None, **dict(connection.execute("SELECT id, name FROM names"))}
            rows = connection.execute(
                "SELECT s.tenant, o.id FROM operations o JOIN series s ON s.id = o.series"
            ).fetchall()
            sums = connection.execute(
                "SELECT s.tenant, sum(r.cost) FROM rollups_day r JOIN series s ON s.id = r.series GROUP BY s.tenant"
            ).fetchall()
    wanted: dict[str | None, set[bytes]] = collections.defaultdict(set)
    costs: collections.Counter[str | None] = collections.Counter()
    for record in records:
        wanted[record.tenant].add(record.id)
        costs[record.tenant] += record.cost or 0
    found: dict[str | None, set[bytes]] = collections.defaultdict(set)
    for tenant, id_ in rows:
        found[names[tenant]].add(id_)
    assert found == wanted
    # Each call's cost is a bit of its own: a sum says exactly whose calls are in it.
    assert {names[tenant]: cost for tenant, cost in sums} == costs


def _storable(text: str | None) -> str | None:
    """Leave out what no journal brings to a store: half characters are mended before, NULs are left out there."""
    return None if text is None else text.encode(errors="replace").decode().replace("\0", "")
