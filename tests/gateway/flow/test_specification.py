"""The specification's examples of limits, merging, breakers and health, as they are written there."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.specification import example, run


async def test_rate_limiting(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        await run(example("Rate Limiting with Request Queuing"), {"gateway": gateway})
        assert (await gateway.generate_async("a")).text == "a"
        (limit,) = gateway.rate_limits()
    assert limit.scope == "global:"
    assert (limit.request_burst, limit.token_burst) == (60.0, 90000.0)
    assert limit.requests < 60


async def test_deduplication(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        names: dict[str, Any] = {"gateway": gateway}
        await run(example("Request Batching and Deduplication"), names)
    assert names["response2"].text == names["response1"].text
    assert names["response2"].cached
    assert len(upstream.requests) == 1


async def test_the_circuit_breaker(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        await run(example("Circuit Breaker for Provider Failures"), {"gateway": gateway})
        await gateway.generate_async("a")
        (breaker,) = gateway.circuit_breakers()
    assert (breaker.deployment_id, breaker.state) == ("m#0", "closed")


async def test_health(gateway_of: Any, upstream: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway_of(upstream) as gateway:
        await gateway.generate_async("a")
        names: dict[str, Any] = {"gateway": gateway}
        await run(example("Health Monitoring"), names)
    assert "'openai'" in capsys.readouterr().out
    openai = names["health"]["provider_health"]["openai"]
    assert (openai["status"], openai["success_rate"], openai["last_error"]) == ("healthy", 1.0, None)
    assert openai["response_time_ms"] > 0
