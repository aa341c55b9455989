"""Tokens that were used are recorded, whatever became of the answer, and whether calls are merged or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ValidationFailed

LEAKS = "Write to the owner. The key is AKIAIOSFODNN7EXAMPLQ, keep it."
PRICED = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
MODELS = [
    {"model_name": "leaky", "litellm_params": {"model": "simulator/leaky", "text": LEAKS, **PRICED}},
    {"model_name": "plain", "litellm_params": {"model": "simulator/plain", **PRICED}},
]


@pytest.fixture(params=[True, False], ids=["merged", "apart"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> LiteLLMGateway:
    settings: dict[str, Any] = {"deduplication": {"enabled": request.param}, "data_dir": str(tmp_path)}
    return LiteLLMGateway(GatewayConfig(model_list=MODELS, enable_validation=True, **settings))


async def _metrics(gateway: LiteLLMGateway) -> dict[str, Any]:
    return await gateway.get_llmops_metrics_async(tenant_id="acme")


async def test_of_a_blocked_answer(gateway: LiteLLMGateway) -> None:
    async with gateway:
        with pytest.raises(ValidationFailed):
            await gateway.generate_async("hello", model="leaky", tenant_id="acme")
        metrics = await _metrics(gateway)
        (counted,) = (await gateway.get_health())["guards"]
    assert (counted["guardrail"], counted["action"], counted["count"]) == ("default", "block", 1)
    assert (metrics["total_operations"], metrics["failed_operations"]) == (1, 1)
    assert metrics["total_tokens"] > 0
    assert metrics["total_cost_usd"] > 0


@pytest.mark.parametrize("model", ["leaky", "plain"])
async def test_of_a_stream_that_is_blocked_or_left(gateway: LiteLLMGateway, model: str) -> None:
    async with gateway:
        stream = gateway.generate_stream("hello", model=model, tenant_id="acme")
        try:
            async for _ in stream:
                break
            await stream.aclose()
        except ValidationFailed:
            assert model == "leaky"
        metrics = await _metrics(gateway)
    assert metrics["total_operations"] == 1
    assert metrics["success_rate"] == 0.0
    assert metrics["by_model"][model]["tokens"] > 0
    assert metrics["total_cost_usd"] > 0
