"""A deployment that its provider paused: what callers hear meanwhile."""

from __future__ import annotations

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ProviderUnavailable, RateLimited
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
