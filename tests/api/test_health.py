"""What a server tells of its health, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import ProviderUnavailable

KEY = {"authorization": "Bearer secret-1"}
EACH_BY_ITSELF = {"deduplication": {"enabled": False}}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize("path", ["/health", "/health/limits"])
async def test_it_needs_the_key(serving: Any, path: str) -> None:
    async with serving(master_key="secret-1") as http:
        async with http.get(path) as response:
            assert response.status == 401
        async with http.get(path, headers=KEY) as response:
            assert response.status == 200


async def test_the_report_is_the_gateways(serving: Any, provider: Any) -> None:
    provider.extend("yes", ProviderUnavailable("it burns"))
    async with serving(**EACH_BY_ITSELF) as http:
        for _ in range(2):
            async with http.post("/v1/chat/completions", json=ASKED):
                pass
        async with http.get("/health") as response:
            health = await response.json()
    scripted = health["provider_health"]["scripted"]
    assert (health["status"], scripted["succeeded"], scripted["failed"]) == ("degraded", 1, 1)
    assert scripted["errors"] == {"ProviderUnavailable": 1}
    assert scripted["deployments"]["m#0"]["circuit_breaker"] == "closed"
    assert scripted["deployments"]["m#0"]["waiting"] == 0
    assert health["stores"] is not None
    assert health["queues"]["waiting"] == 0


@pytest.mark.parametrize(("headers", "tenant"), [({"x-gatewright-tenant": "acme"}, "acme"), ({}, "")])
async def test_who_waits_and_what_is_left(serving: Any, headers: dict[str, str], tenant: str) -> None:
    limits = {"rate_limit": {"max_concurrent": 1}, "tenant_rate_limits": {"acme": {"requests_per_minute": 60}}}
    slow = {"model": "sim/x", "messages": ASKED["messages"]}
    simulator = {"latency": 0.4}
    async with serving(**EACH_BY_ITSELF, simulator=simulator, **limits) as http:

        async def ask() -> int:
            async with http.post("/v1/chat/completions", json=slow, headers=headers) as response:
                await response.read()
                return response.status

        calls = [asyncio.create_task(ask()) for _ in range(3)]
        queued: dict[str, Any] = {"length": 0}
        while queued["length"] < 2:
            async with http.get("/health/limits") as response:
                shown = await response.json()
            queued = shown["queue"]
        assert await asyncio.gather(*calls) == [200, 200, 200]
    assert queued["by_tenant"] == {tenant: 2}
    assert [one["position"] for one in queued["calls"]] == [1, 2]
    limits_shown = {one["scope"]: one for one in shown["limits"]}
    assert limits_shown["global:"]["in_flight"] == 1
    if tenant:
        assert 58 <= limits_shown["tenant:acme"]["requests"] < 60
    assert shown["circuit_breakers"][0]["state"] == "closed"
