"""Active checks, as a gateway makes them."""

from __future__ import annotations

import asyncio
import time

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ProviderUnavailable
from gatewright.testing import ScriptedProvider


async def test_an_idle_deployment_is_asked_for_one_token_and_its_health_is_known() -> None:
    provider = ScriptedProvider(["pong"] * 1000)
    busy = ScriptedProvider(["x"] * 10)
    config = GatewayConfig(
        model_list=[
            {"model_name": "busy", "litellm_params": {"model": "busy/a"}},
            {"model_name": "idle", "litellm_params": {"model": "idle/b"}},
        ],
        health_checks={"enabled": True, "interval": 0.02, "jitter": 0.0},
    )
    async with LiteLLMGateway(config, providers={"busy": lambda _: busy, "idle": lambda _: provider}) as gateway:
        async with asyncio.timeout(10):
            while not provider.calls:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert provider.calls[0].generation.params == {"max_tokens": 1}
        assert (await gateway.get_health())["provider_health"]["idle"]["status"] == "healthy"
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_where_nothing_is_awaited_asking_for_the_health_begins_them() -> None:
    provider = ScriptedProvider(["pong"] * 1000)
    config = GatewayConfig(
        model_list=[{"model_name": "idle", "litellm_params": {"model": "idle/b"}}],
        health_checks={"enabled": True, "interval": 0.02, "jitter": 0.0},
    )

    async def health(gateway: LiteLLMGateway) -> str:
        return (await gateway.get_health())["provider_health"]["idle"]["status"]

    with LiteLLMGateway(config, providers={"idle": lambda _: provider}) as gateway:
        gateway.generate("Hello", model="idle")  # home is a thread of the gateway's own
        until = time.monotonic() + 10
        while len(provider.calls) < 3 and time.monotonic() < until:
            asyncio.run(health(gateway))
        assert len(provider.calls) >= 3


async def test_a_check_that_hangs_counts_for_the_breaker() -> None:
    hanging = ScriptedProvider(["never"] * 1000, gate=asyncio.Event())
    config = GatewayConfig(
        model_list=[{"model_name": "m", "litellm_params": {"model": "hanging/b"}}],
        default_model="m",
        health_checks={"enabled": True, "interval": 0.02, "jitter": 0.0, "timeout": 0.02},
        circuit_breaker={"failure_threshold": 2, "timeout": 60},
        close_timeout=0.1,
    )
    async with LiteLLMGateway(config, providers={"hanging": lambda _: hanging}) as gateway:
        async with asyncio.timeout(10):
            while [one.state for one in gateway.circuit_breakers()] != ["open"]:
                await asyncio.sleep(0.01)
        health = (await gateway.get_health())["provider_health"]["hanging"]
        assert health["status"] == "unhealthy"
        asked = len(hanging.calls)
        with pytest.raises(ProviderUnavailable):
            await gateway.generate_async("Hello", timeout=5)
        assert len(hanging.calls) == asked == 2


async def test_they_are_off_unless_switched_on() -> None:
    provider = ScriptedProvider(["pong"] * 10)
    config = GatewayConfig(providers=["idle"], default_model="idle/b", health_checks={"interval": 0.01})
    async with LiteLLMGateway(config, providers={"idle": lambda _: provider}) as gateway:
        await gateway.generate_async("Hello")
        await asyncio.sleep(0.05)
        assert len(provider.calls) == 1
