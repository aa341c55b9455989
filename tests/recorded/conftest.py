"""One local server for all replays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.litellm.clients import Lease
from recorded.server import Replay


@pytest.fixture(scope="session")
def replay() -> Iterator[Replay]:
    """Give a server that answers with whatever exchange it is told to play."""
    with Replay() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient()
    yield client
    await client.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def litellm_connections() -> AsyncIterator[None]:
    """Keep litellm's connections from one test to the next, and close them at the end."""
    lease = Lease()
    lease.take()
    yield
    await lease.give_back()
