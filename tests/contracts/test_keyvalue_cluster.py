"""A real cluster keeps values as one Redis does, whichever node is named; and a full Redis only refuses what is new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue import Item
from gatewright.storage.keyvalue.redis import RedisKeyValues

HALF = 8192


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis and the file the time that they need on a busy machine."""
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.READ_PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.WRITE_PATIENCE", 20.0)


def item(data: bytes) -> Item:
    now = time.time()
    return Item(data, now, now + 60, now + 60)


@pytest.fixture
async def nodes(start_redis: Callable[..., Any], unused_tcp_port_factory: Callable[[], int]) -> list[Any]:
    buses = [unused_tcp_port_factory() for _ in range(2)]
    made = [start_redis("--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses]
    for number, node in enumerate(made):
        node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * HALF), str((number + 1) * HALF - 1))
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    made[0].ask("CLUSTER", "MEET", "127.0.0.1", str(made[1].port), str(buses[1]))
    async with asyncio.timeout(20):
        while not all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in made):
            await asyncio.sleep(0.05)
    return made


async def test_a_cluster_keeps_values(nodes: list[Any]) -> None:
    urls = [f"redis+cluster://127.0.0.1:{node.port}" for node in nodes]
    for namespace in ("a", "b", "c"):
        one, other = (RedisKeyValues(url, namespace) for url in urls)
        await one.set({f"k{number}": item(b"%d" % number) for number in range(100)})
        found = await other.get([f"k{number}" for number in range(101)])
        assert [value and value.data for value in found] == [*(b"%d" % number for number in range(100)), None]
        assert not await other.add("k1", item(b"x"))
        assert await other.add("new", item(b"token"))
        assert not await one.delete_equal("new", b"x")
        assert await one.delete_equal("new", b"token")
        assert await other.delete_matching("k1", lambda _: True) == 11
        assert await one.delete_matching("", lambda _: True) == 89
        await one.aclose()
        await other.aclose()
    sizes = [int(node.ask("DBSIZE")[1:]) for node in nodes]
    assert sizes == [0, 0]


async def test_a_full_redis_refuses_what_is_new_and_gives_the_rest(redis_server: Any) -> None:
    store = RedisKeyValues(redis_server.url)
    await store.set({"k": item(b"v")})
    redis_server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis_server.ask("CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(StoreUnavailable, match="OOM"):
        for number in range(50):
            await store.set({f"k{number}": item(b"x" * 100_000)})
    found = await store.get(["k"])
    assert found[0] is not None
    await store.check()
    await store.aclose()
