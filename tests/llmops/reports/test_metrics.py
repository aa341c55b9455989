from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest
from gatewright.llmops.reports import Reports
from gatewright.storage.sql.store import RecordStore
from llmops.reports.operations import DAY, HOUR, MINUTE, NOW, operation


def test_a_store_that_is_not_there_yet_reads_as_an_empty_one(reports: Reports, tmp_path: Path) -> None:
    for found in (reports.metrics(None, None, 24), reports.metrics("acme", "a", 0.01)):
        assert found["total_operations"] == 0
        numbers = {
            name: value for name, value in found.items() if isinstance(value, float) and name != "time_range_hours"
        }
        assert {"average_latency_ms", "p95_latency_ms", "success_rate", "total_cost_usd"} <= numbers.keys()
        assert set(numbers.values()) == {0.0}
        assert found["by_model"] == {}
    assert not list(tmp_path.iterdir())


def test_the_numbers(reports: Reports, store: RecordStore) -> None:
    usual = {"prompt_tokens": 100, "completion_tokens": 20, "cost": 1_500_000_000, "latency": 800_000}
    store.write(
        [
            operation(**usual, cached_tokens=60, reasoning_tokens=5, retries=2, fallbacks=1, queued=5000, overhead=400),
            operation(**usual | {"latency": 200_000, "cost": None}, kind="streaming", first_token=90_000),
            operation(cache="memory", saved=3_000_000_000, latency=100),
            operation(cache="shared", saved=1_500_000_000, latency=100),
            operation(status="timeout", latency=999_800, model="n"),
            operation(status="cancelled"),
        ]
    )
    found = reports.metrics("acme", None, 1)
    expected = {
        "total_operations": 6,
        "successful_operations": 4,
        "failed_operations": 1,
        "cancelled_operations": 1,
        "success_rate": 4 / 6,
        "error_rate": 1 / 6,
        "total_tokens": 240,
        "prompt_tokens": 200,
        "completion_tokens": 40,
        "cached_prompt_tokens": 60,
        "reasoning_tokens": 5,
        "total_cost_usd": 0.0015,
        "unpriced_operations": 1,
        "average_latency_ms": 2000 / 6,
        "p99_latency_ms": pytest.approx(999.8, rel=0.05),
        "average_time_to_first_token_ms": 90.0,
        "p50_time_to_first_token_ms": 90.0,
        "average_queue_ms": 5 / 6,
        "average_overhead_ms": 0.4 / 6,
        "cache_hits": 1,
        "cache_hit_rate": 0.25,
        "deduplicated_operations": 1,
        "deduplication_rate": 0.25,
        "saved_usd": 0.0045,
        "total_retries": 2,
        "total_fallbacks": 1,
        "complete": True,
    }
    assert {name: found[name] for name in expected} == expected
    assert {name: one["operations"] for name, one in found["by_status"].items()} == {
        "success": 4,
        "timeout": 1,
        "cancelled": 1,
    }
    assert {name: one["operations"] for name, one in found["by_model"].items()} == {"m": 5, "n": 1}
    assert found["by_type"]["streaming"]["unpriced_operations"] == 1
    assert list(found["by_agent"]) == ["(none)"]
    assert list(found["by_tenant"]) == ["acme"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("hours", "ago", "counted"),
    [
        (1, HOUR - 1, True),
        (1, HOUR + MINUTE, False),
        (24, DAY - 1, True),
        (24, DAY + MINUTE, False),
        (24 * 30, 30 * DAY - 1, True),
        (24 * 30, 30 * DAY + HOUR, False),
        (24 * 500, 500 * DAY - 1, True),
        (24 * 500, 501 * DAY, False),
        (1e9, 5000 * DAY, True),
    ],
)
def test_what_is_in_a_time_range(reports: Reports, store: RecordStore, hours: float, ago: float, counted: bool) -> None:
    store.write([operation(ago)])
    found = reports.metrics(None, None, hours)
    assert found["total_operations"] == int(counted)
    assert sum(point["operations"] for point in found["time_series"][-800:]) == int(counted and hours < 1e9)


@pytest.mark.parametrize("hours", [0, -1, -0.5, math.nan, math.inf, "24", None, True, [24]])
def test_a_time_range_that_is_none_is_named(reports: Reports, hours: Any) -> None:
    with pytest.raises(BadRequest, match="time_range_hours") as caught:
        reports.metrics(None, None, hours)
    assert caught.value.param == "time_range_hours"


@pytest.mark.parametrize(
    ("tenant", "agent", "named"), [("", None, "tenant_id"), (7, None, "tenant_id"), (None, "", "agent_id")]
)
def test_a_name_that_is_none_is_named(reports: Reports, tenant: Any, agent: Any, named: str) -> None:
    with pytest.raises(BadRequest, match=named) as caught:
        reports.costs(tenant, agent, 24)
    assert caught.value.param == named


def test_a_chart_has_a_line_for_each_piece(reports: Reports, store: RecordStore) -> None:
    store.write([operation(ago, latency=ago * 1000) for ago in (0, 1, 90 * MINUTE)] + [operation(HOUR, status="error")])
    found = reports.series("acme", None, 3, "hour")
    assert found["step"] == "hour"
    assert [point["start"] for point in found["time_series"]] == [
        f"2026-09-21T{hour}:00:00Z" for hour in (11, 12, 13, 14)
    ]
    assert [point["operations"] for point in found["time_series"]] == [0, 1, 1, 2]
    assert [point["errors"] for point in found["time_series"]] == [0, 0, 1, 0]


@pytest.mark.parametrize(("hours", "step"), [(0.5, "minute"), (24, "hour"), (24 * 30, "day"), (24 * 500, "day")])
def test_a_chart_can_be_read(reports: Reports, hours: float, step: str) -> None:
    found = reports.series(None, None, hours)
    assert found["step"] == step
    assert len(found["time_series"]) <= max(181, hours / 24 + 2)


@pytest.mark.parametrize(("step", "hours"), [("week", 24), ("minute", 24 * 30), (1, 24)])
def test_a_step_that_is_none_is_named(reports: Reports, step: Any, hours: float) -> None:
    with pytest.raises(BadRequest, match="step") as caught:
        reports.series(None, None, hours, step)
    assert caught.value.param == "step"


class Stuck:
    def flush(self, seconds: float) -> bool:
        return False


def test_a_report_says_that_something_may_be_missing(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "records.sqlite", backlog=Stuck(), wall=lambda: NOW)
    assert reports.metrics(None, None, 24)["complete"] is False


def test_who_calls_himself_none_is_not_taken_for_nobody(reports: Reports, store: RecordStore) -> None:
    tenants = [None, "none", "(none)", "", "'(none)'"]
    store.write([operation(tenant=tenant) for tenant in tenants])
    assert len(reports.metrics(None, None, 1)["by_tenant"]) == len(tenants)
