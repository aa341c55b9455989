"""The gateway's reports: what was just answered is in them, each tenant's alone."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.specification import example, run

from gatewright import GatewayConfig, LiteLLMGateway, create_gateway
from gatewright.errors import BadRequest, ConfigurationError
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.sql.operation_rows import Chosen, operations
from gatewright.storage.sql.reading import RecordReader

SIMULATED = {
    "model_name": "m",
    "litellm_params": {
        "model": "simulator/any",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
    },
}


@pytest.fixture(autouse=True)
def _records_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_DATA_DIR", str(tmp_path))


def gateway(**more: Any) -> LiteLLMGateway:
    return LiteLLMGateway(GatewayConfig(model_list=[SIMULATED], **more))


def test_what_was_just_answered_is_in_the_numbers() -> None:
    with gateway(deduplication={"enabled": False}) as gw:
        spent = 0.0
        for count in range(1, 6):
            answer = gw.generate("hello", model="m", tenant_id="acme", agent_id="sales")
            spent += answer.cost_usd or 0.0
            found = gw.get_llmops_metrics(tenant_id="acme", time_range_hours=24)
            assert found["complete"]
            assert found["total_operations"] == count
            assert found["total_cost_usd"] == pytest.approx(spent)
        gw.generate("hello", model="m", tenant_id="other")
        assert gw.get_llmops_metrics("acme")["total_operations"] == 5
        assert gw.get_llmops_metrics("acme", "sales")["total_operations"] == 5
        assert gw.get_llmops_metrics("other", "sales")["total_operations"] == 0
        assert gw.get_llmops_metrics()["by_tenant"].keys() == {"acme", "other"}
        assert gw.get_cost_summary("acme")["by_tenant"].keys() == {"acme"}
        assert gw.get_cost_summary("acme")["total_cost_usd"] == pytest.approx(spent)
        series = gw.get_llmops_series("acme", time_range_hours=1, step="minute")["time_series"]
        assert sum(point["operations"] for point in series) == 5
    assert gw.get_llmops_metrics("acme")["total_operations"] == 5


def test_awaited() -> None:
    async def ask() -> None:
        async with gateway() as gw:
            await gw.generate_async("hello", model="m")
            assert (await gw.get_llmops_metrics_async())["total_operations"] == 1
            assert (await gw.get_cost_summary_async())["total_cost_usd"] > 0
            assert (await gw.get_llmops_series_async(step="hour"))["step"] == "hour"
            assert gw.get_llmops_metrics()["total_operations"] == 1

    asyncio.run(ask())


def test_the_specifications_example(capsys: pytest.CaptureFixture[str], upstream: Any) -> None:
    async def ask() -> None:
        names: dict[str, Any] = {"gateway": gateway()}
        await run(example("LLMOps Integration"), names)
        await names["gateway"].aclose()

    asyncio.run(ask())
    assert capsys.readouterr().out.splitlines() == [
        "Total operations: 0",
        "Total cost: $0.00",
        "Average latency: 0.00ms",
        "Cost per 1K tokens: $0.0000",
    ]


@pytest.mark.parametrize("hours", [0, -1, math.nan, "24"])
def test_a_wrong_time_range_is_named(hours: Any) -> None:
    with gateway() as gw, pytest.raises(BadRequest, match="time_range_hours"):
        gw.get_llmops_metrics(time_range_hours=hours)


def test_nothing_is_reported_where_nothing_is_recorded() -> None:
    with gateway(record_operations=False) as gw, pytest.raises(ConfigurationError, match="record_operations"):
        gw.get_cost_summary()


def test_an_unknown_price_is_counted_and_not_taken_for_zero() -> None:
    unpriced = {"model_name": "m", "litellm_params": {"model": "simulator/any"}}
    with LiteLLMGateway(GatewayConfig(model_list=[unpriced])) as gw:
        assert gw.generate("hello", model="m").cost_usd is None
        found = gw.get_llmops_metrics()
        assert (found["unpriced_operations"], found["total_cost_usd"]) == (1, 0.0)


def test_a_database_that_does_not_answer_is_said_so_and_holds_nobody_up() -> None:
    url = "postgresql://gatewright@127.0.0.1:9/none"
    with gateway(database_url=url, close_timeout=0.1) as gw:
        gw.generate("hello", model="m")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            gw.get_llmops_metrics()
        assert time.monotonic() - began < 20


def _call(directory: str, ready: Any, done: Any) -> None:
    """Hold the records' directory as the process that drains it, until told."""
    with gateway(data_dir=Path(directory)) as gw:
        gw.generate("hello", model="m", tenant_id="first")
        gw.get_llmops_metrics()
        ready.set()
        done.wait(60)


def test_what_another_process_drains_is_waited_for(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_call, args=(str(tmp_path), ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with gateway(data_dir=tmp_path) as gw:
            for count in range(1, 4):
                gw.generate(f"hello {count}", model="m", tenant_id="second")
                found = gw.get_llmops_metrics("second")
                assert (found["complete"], found["total_operations"]) == (True, count)
    finally:
        done.set()
        other.join(60)


def test_the_records_say_where_a_price_comes_from(tmp_path: Path) -> None:
    unpriced = {"model_name": "n", "litellm_params": {"model": "simulator/any"}}
    with LiteLLMGateway(GatewayConfig(model_list=[SIMULATED, unpriced])) as gw:
        gw.generate("hello", model="m")
        gw.generate("hello", model="n")
    with RecordReader(tmp_path / "records.sqlite").snapshot() as snapshot:
        assert snapshot is not None
        found = {(one.price_source, one.cost is None) for one in operations(snapshot, Chosen())}
    assert found == {("configuration", False), (None, True)}


def test_create_gateway_has_reports_too() -> None:
    with create_gateway(["simulator"], "simulator/any") as gw:
        gw.generate("hello")
        assert gw.get_llmops_metrics()["by_provider"].keys() == {"simulator"}
