"""The specification's examples of the operation log, the cache, the guards and feedback, as they are written there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.gateway.specification import example, run

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ValidationFailed


@pytest.fixture(autouse=True)
def openai(upstream: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have the provider that the examples leave to the environment; it is asked its usual model."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    monkeypatch.setenv("GATEWRIGHT_DATA_DIR", str(tmp_path))


async def test_the_operation_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with LiteLLMGateway() as gateway:
        answer = await gateway.generate_async("What is AI?", tenant_id="tenant1")
        await gateway.generate_async("What is AI?", tenant_id="another")
        await run(example("LLMOps Integration"), {"gateway": gateway})
    lines = capsys.readouterr().out.splitlines()
    assert answer.cost_usd
    assert lines[:2] == ["Total operations: 1", f"Total cost: ${answer.cost_usd:.2f}"]
    assert lines[2].startswith("Average latency: ")
    assert lines[3] == f"Cost per 1K tokens: ${1000 * answer.cost_usd / answer.usage.total_tokens:.4f}"


async def test_the_cache(upstream: Any) -> None:
    names: dict[str, Any] = {"LiteLLMGateway": LiteLLMGateway}
    await run(example("Response Caching"), names)
    async with names["gateway"]:
        assert names["response2"].text == names["response1"].text == "What is AI?"
        assert [names["response1"].cached, names["response2"].cached] == [False, True]
        assert names["response2"].cost_usd == 0
    assert len(upstream.requests) == 1


async def test_the_guards(upstream: Any) -> None:
    names: dict[str, Any] = {"LiteLLMGateway": LiteLLMGateway, "GatewayConfig": GatewayConfig}
    await run(example("Validation/Guardrails Framework"), names)
    async with names["gateway"] as gateway:
        right = await gateway.generate_async("Incident_ID: INC0012345", deduplicate=False)
        assert right.text == "Incident_ID: INC0012345"
        with pytest.raises(ValidationFailed, match="Missing incident_id in response"):
            await gateway.generate_async("It is solved.")


async def test_feedback(capsys: pytest.CaptureFixture[str]) -> None:
    async with LiteLLMGateway() as gateway:
        names: dict[str, Any] = {"gateway": gateway}
        await run(example("Feedback Loop Mechanism"), names)
    assert names["feedback_id"]
    assert "Average rating: " in (told := capsys.readouterr().out)
    assert "Actually, the process is different..." in told
