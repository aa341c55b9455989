from __future__ import annotations

from gatewright.llmops.reports import Reports
from gatewright.storage.sql.store import RecordStore
from llmops.reports.operations import DAY, HOUR, operation

DOLLAR = 10**12


def test_an_empty_store(reports: Reports) -> None:
    found = reports.costs("acme", None, 720)
    assert (found["total_cost_usd"], found["cost_per_1k_tokens"], found["forecast"]) == (0.0, 0.0, None)
    assert f"{found['cost_per_1k_tokens']:.4f}" == "0.0000"


def test_the_costs(reports: Reports, store: RecordStore) -> None:
    store.write(
        [
            operation(cost=3 * DOLLAR, prompt_tokens=1000, completion_tokens=500),
            operation(cost=1 * DOLLAR, prompt_tokens=1000, completion_tokens=500, model="n", agent="sales"),
            operation(cost=None, model="new"),
            operation(cache="memory", saved=5 * DOLLAR),
            operation(cache="shared", saved=2 * DOLLAR),
            operation(cost=8 * DOLLAR, tenant="other"),
        ]
    )
    found = reports.costs("acme", None, 1)
    assert found["total_cost_usd"] == 4.0
    assert found["cost_per_1k_tokens"] == 4.0 / 3
    assert found["cost_per_operation_usd"] == 0.8
    assert found["unpriced_operations"] == 1
    assert (found["saved_by_cache_usd"], found["saved_by_deduplication_usd"]) == (5.0, 2.0)
    assert list(found["by_model"]) == ["m", "n", "new"]
    assert found["by_model"]["m"]["cost_usd"] == 3.0
    assert list(found["by_tenant"]) == ["acme"]
    assert found["by_agent"]["sales"]["cost_usd"] == 1.0
    assert reports.costs("acme", "sales", 1)["total_cost_usd"] == 1.0
    assert reports.costs(None, None, 1)["total_cost_usd"] == 12.0
    assert list(reports.costs(None, None, 1)["by_tenant"]) == ["other", "acme"]


def test_money_adds_up_exactly(reports: Reports, store: RecordStore) -> None:
    store.write([operation(cost=100_000_000_001, ago=ago * HOUR) for ago in range(10)])
    assert reports.costs(None, None, 24)["total_cost_usd"] == 1.00000000001


def test_a_forecast_of_days_that_are_alike(reports: Reports, store: RecordStore) -> None:
    store.write([operation(day * DAY, cost=2 * DOLLAR) for day in range(1, 11)])
    found = reports.costs("acme", None, 1)["forecast"]
    assert found["days_used"] == 10
    assert found["next_30_days_usd"] == {"expected": 60.0, "low": 60.0, "high": 60.0}
    assert reports.costs("other", None, 1)["forecast"] is None
