"""What `get_health` says of a gateway that is used."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import GatewayError, RateLimited
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.testing import ScriptedProvider


async def test_before_anything_was_asked(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        health = await gateway.get_health()
    openai = health["provider_health"]["openai"]
    assert health["status"] == openai["status"] == "unknown"
    assert (openai["success_rate"], openai["last_error"], openai["response_time_ms"]) == (None, None, None)
    assert list(openai["deployments"]) == ["m#0"]
    assert health["queues"] == {"waiting": 0}
    assert health["stores"]["records"]["status"] == "healthy"


async def test_a_well_and_an_ailing_provider() -> None:
    models = [
        {"model_name": "well", "litellm_params": {"model": "simulator/a"}},
        {"model_name": "ill", "litellm_params": {"model": "ailing/b"}},
    ]

    class Ailing:
        def __init__(self) -> None:
            self.left = 0

        async def __call__(self, call: Any, /) -> Any:
            self.left += 1
            if self.left % 7 == 0:
                raise RateLimited("quota of sk-0123456789abcdef is used up")
            return await ScriptedProvider(["fine"])(call)

        async def aclose(self) -> None: ...

    one = Ailing()
    config = GatewayConfig(model_list=models, max_retries=0)  # type: ignore[arg-type]
    async with LiteLLMGateway(config, providers={"ailing": lambda _: one}) as gateway:
        for number in range(14):
            await gateway.generate_async(f"{number}", model="well")
            if (number + 1) % 7:
                await gateway.generate_async(f"{number}", model="ill")
            else:
                with pytest.raises(GatewayError):
                    await gateway.generate_async(f"{number}", model="ill")
        health = await gateway.get_health()
    well, ill = health["provider_health"]["simulator"], health["provider_health"]["ailing"]
    assert (health["status"], well["status"], ill["status"]) == ("degraded", "healthy", "degraded")
    assert well["success_rate"] == 1.0
    assert ill["success_rate"] == pytest.approx(12 / 14, abs=1e-3)
    assert ill["errors"] == {"RateLimited": 2}
    assert "sk-0123" not in json.dumps(health)
    assert set(well["latency_ms"]) == {"p50", "p95", "p99"}
    assert well["response_time_ms"] == well["latency_ms"]["p50"] > 0
    assert ill["deployments"]["ill#1"]["failed"] == 2


async def test_it_is_plain_data(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, rate_limit={"requests_per_minute": 6000}, circuit_breaker={}) as gateway:
        await gateway.generate_async("a")
        health = await gateway.get_health()
    assert json.loads(json.dumps(health)) == health


async def test_streams_tell_their_time_to_first_token(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        async for _ in gateway.generate_stream("5"):
            pass
        openai = (await gateway.get_health())["provider_health"]["openai"]
    assert openai["succeeded"] == 1
    assert openai["time_to_first_token_ms"]["p50"] > 0


async def test_it_shows_the_breakers(remotes: Any, gateway_over: Any) -> None:
    one, two = remotes(), remotes()
    one.script.extend([(500, {})] * 10)
    steady = CircuitBreakerConfig(failure_threshold=2, timeout=60)
    async with gateway_over(one, two, circuit_breaker=steady, max_retries=1) as gateway:
        for number in range(20):
            await gateway.generate_async(f"{number}")
        openai = (await gateway.get_health())["provider_health"]["openai"]
    assert openai["deployments"]["m#0"]["circuit_breaker"] == "open"
    assert openai["deployments"]["m#1"]["circuit_breaker"] == "closed"
    assert openai["circuit_breaker"] == "partly_open"
    assert openai["deployments"]["m#0"]["status"] == "unhealthy"
    assert openai["status"] == "degraded"


async def test_it_shows_the_queues(gateway_of: Any, patient: Any, until_async: Any) -> None:
    limit = RateLimitConfig(max_concurrent=2)
    narrow = {"max_parallel_requests": 1}
    async with gateway_of(patient, tenant_rate_limits={"a": limit}, params=narrow) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}", tenant_id="a")) for n in range(5)]
        await until_async(lambda: gateway.queue_status().length == 4)
        queues = (await gateway.get_health())["queues"]
        patient.release.set()
        await asyncio.gather(*calls)
        assert (await gateway.get_health())["queues"]["waiting"] == 0
    assert queues["waiting"] == 4
    assert queues["by_limit"] == {"tenant:a": 3, "deployment:m#0": 1}


def test_from_another_loop_and_thread(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream) as gateway:
        gateway.generate("a")
        health = asyncio.run(gateway.get_health())
    assert health["provider_health"]["openai"]["succeeded"] == 1


async def test_of_what_the_gateway_itself_refused_it_says_nothing(gateway_of: Any, upstream: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=1, burst_size=1, enable_queuing=False)
    async with gateway_of(upstream, rate_limit=limit) as gateway:
        await gateway.generate_async("a")
        for number in range(10):
            with pytest.raises(GatewayError):
                await gateway.generate_async(f"{number}")
        health = await gateway.get_health()
    assert health["provider_health"]["openai"]["success_rate"] == 1.0
    assert health["status"] == "healthy"
