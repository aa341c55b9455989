"""The reports over HTTP: behind the server's key, with the query checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.app import create_app

KEY = {"authorization": "Bearer sk-master"}
MODEL = {"model_name": "m", "litellm_params": {"model": "simulator/any", "input_cost_per_token": 1e-6}}


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    config = GatewayConfig(model_list=[MODEL], master_key=SecretStr("sk-master"), data_dir=tmp_path)  # type: ignore[list-item]
    async with LiteLLMGateway(config) as gateway:
        await gateway.generate_async("hello", model="m", tenant_id="acme")
        transport = httpx.ASGITransport(create_app(gateway))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as asking:
            yield asking


@pytest.mark.asyncio
@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_the_reports(client: httpx.AsyncClient, prefix: str) -> None:
    metrics = (await client.get(f"{prefix}/llmops/metrics", headers=KEY)).json()
    assert (metrics["total_operations"], metrics["complete"], list(metrics["by_tenant"])) == (1, True, ["acme"])
    costs = (await client.get(f"{prefix}/llmops/costs?tenant_id=acme&time_range_hours=1.5", headers=KEY)).json()
    assert costs["total_cost_usd"] > 0
    assert costs["time_range_hours"] == 1.5
    series = (await client.get(f"{prefix}/llmops/series?step=minute&tenant_id=acme", headers=KEY)).json()
    assert sum(point["operations"] for point in series["time_series"]) == 1
    other = (await client.get(f"{prefix}/llmops/costs?tenant_id=other", headers=KEY)).json()
    assert (other["total_operations"], other["by_tenant"]) == (0, {})


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/llmops/metrics", "/v1/llmops/costs", "/v1/llmops/series"])
async def test_only_who_has_the_key_may_ask(client: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer other"}):
        assert (await client.get(path, headers=headers)).status_code == 401


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("time_range_hours=0", "time_range_hours"),
        ("time_range_hours=nan", "time_range_hours"),
        ("time_range_hours=day", "time_range_hours"),
        ("tenant_id=", "tenant_id"),
        ("tenant=acme", "tenant"),
        ("step=hour", "step"),
        ("tenant_id=a&tenant_id=b", "tenant_id"),
    ],
)
async def test_a_wrong_query_is_named(client: httpx.AsyncClient, query: str, named: str) -> None:
    answer = await client.get(f"/v1/llmops/metrics?{query}", headers=KEY)
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["error"]["param"]) == (400, named)
