"""A deployment that its provider paused: what callers hear meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ProviderUnavailable, RateLimited
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.testing import ScriptedProvider


async def test_a_deployment_that_asked_to_be_left_alone_for_its_limit_gives_rate_limited() -> None:
    provider = ScriptedProvider([RateLimited("slow down", retry_after=120.0), "never asked"])
    config = GatewayConfig(providers=["scripted"], default_model="scripted/any", max_retries=0)
    async with LiteLLMGateway(config, providers={"scripted": lambda _: provider}) as gateway:
        for number in range(2):
            with pytest.raises(RateLimited) as raised:
                await gateway.generate_async(f"Hello {number}")
            assert raised.value.retry_after == pytest.approx(120, abs=2)
    assert len(provider.calls) == 1


async def test_one_that_is_down_for_a_while_gives_provider_unavailable() -> None:
    provider = ScriptedProvider([ProviderUnavailable("maintenance", retry_after=120.0), "never asked"])
    config = GatewayConfig(providers=["scripted"], default_model="scripted/any", max_retries=0)
    async with LiteLLMGateway(config, providers={"scripted": lambda _: provider}) as gateway:
        for number in range(2):
            with pytest.raises(ProviderUnavailable):
                await gateway.generate_async(f"Hello {number}")
    assert len(provider.calls) == 1


@pytest.mark.parametrize("error", [RateLimited("slow down", retry_after=2.0), ProviderUnavailable("down")])
async def test_who_leaves_while_it_waits_for_the_end_of_that_is_charged_nothing(error: Exception) -> None:
    provider = ScriptedProvider([error, "never asked"])
    config = GatewayConfig(
        providers=["scripted"],
        default_model="scripted/any",
        rate_limit=RateLimitConfig(requests_per_minute=0.01, burst_size=50, tokens_per_minute=0.01, burst_tokens=9000),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1, timeout=2.0),
    )
    async with LiteLLMGateway(config, providers={"scripted": lambda _: provider}) as gateway:
        with pytest.raises(type(error)):
            await gateway.generate_async("Hello", timeout=0.05)
        (before,) = gateway.rate_limits()
        calls = [asyncio.create_task(gateway.generate_async(f"Hello {number}", timeout=10)) for number in range(20)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert (await gateway.get_health())["queues"]["waiting"] == 0
        (after,) = gateway.rate_limits()
    assert (after.requests, after.tokens) == pytest.approx((before.requests, before.tokens), abs=0.1)
    assert len(provider.calls) == 1
