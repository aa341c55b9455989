"""One upstream and one lane to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gatewright.providers.http.aiohttp_client import AiohttpClient
from providers.openai_wire.lane import Lane
from providers.upstream import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient(connect_timeout=2.0)
    yield client
    await client.aclose()


@pytest.fixture
def lane(upstream: Upstream, http: AiohttpClient) -> Lane:
    return Lane(upstream, http)
