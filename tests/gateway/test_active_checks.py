"""Active checks, as a gateway makes them."""

from __future__ import annotations

import asyncio

from gatewright import GatewayConfig, LiteLLMGateway
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
        assert (await gateway.get_health())["provider_health"]["idle"]["status"] == "unknown"
        await gateway.generate_async("Hello", model="busy")
        async with asyncio.timeout(10):
            while not provider.calls:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert provider.calls[0].generation.params == {"max_tokens": 1}
        assert (await gateway.get_health())["provider_health"]["idle"]["status"] == "healthy"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_they_are_off_unless_switched_on() -> None:
    provider = ScriptedProvider(["pong"] * 10)
    config = GatewayConfig(providers=["idle"], default_model="idle/b", health_checks={"interval": 0.01})
    async with LiteLLMGateway(config, providers={"idle": lambda _: provider}) as gateway:
        await gateway.generate_async("Hello")
        await asyncio.sleep(0.05)
        assert len(provider.calls) == 1
