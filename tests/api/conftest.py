"""A server on the test's own loop, asked in raw HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running
from gatewright.testing import ScriptedProvider

Serving = Callable[..., Any]


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider([])


@pytest.fixture
def serving(provider: ScriptedProvider) -> Serving:
    """Give a context that serves `m`, which the scripted provider answers, to the HTTP client that it yields."""

    @asynccontextmanager
    async def serve(app: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
        entries = [
            {"model_name": "m", "litellm_params": {"model": "scripted/m"}},
            {"model_name": "sim/*", "litellm_params": {"model": "simulator/*"}},
        ]
        config = GatewayConfig(**{"model_list": entries, "max_retries": 0, "close_timeout": 0.2, **settings})
        gateway = LiteLLMGateway(config, providers={"scripted": lambda _: provider})
        async with running(gateway, **(app or {})) as url, aiohttp.ClientSession(url) as session:
            yield session

    return serve


@pytest.fixture
async def http(serving: Serving) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving() as session:
        yield session
