"""A real cluster of three nodes, and a real sentinel that makes a replica the master; of Redis and of Valkey."""

import asyncio
import time

import pytest
from tests.servers import redis

from gatewright.clock import MONOTONIC
from gatewright.layers.deduplication.shared.board import SharedBoard
from gatewright.layers.deduplication.shared.parts import Came, Landed, encoded
from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.layers.rate_limiter.permit import Permit
from gatewright.layers.rate_limiter.shared import SharedLedger, SharedPermit
from gatewright.storage.redis import RedisStore
from gatewright.types.results import Chunk

ALL = {
    "requests_per_minute": 0.001,
    "burst_size": 5,
    "tokens_per_minute": 60,
    "burst_tokens": 600_000,
    "max_concurrent": 9,
}
SLOTS = 16384


def crc16(data):
    """CRC-16/XMODEM, as the cluster's specification has it."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def slot(key):
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return crc16(key[start + 1 : end] if start >= 0 and end > start + 1 else key) % SLOTS


def limits():
    now = MONOTONIC.now()
    names = ("global:", "tenant:{odd} tenant}", "tenant_model:('{a}', 'b')", "deployment:d")
    return [Limit(name, RateLimitConfig(**ALL), now) for name in names]


def until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="session", params=redis.PROGRAMS)
def redis_program(request):
    return redis.program(request.param)


@pytest.fixture
def cluster(start_redis, unused_tcp_port_factory):
    buses = [unused_tcp_port_factory() for _ in range(3)]
    nodes = [
        start_redis("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000")
        for bus in buses
    ]
    for number, node in enumerate(nodes):
        last = SLOTS - 1 if number == 2 else (number + 1) * 5461 - 1
        node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * 5461), str(last))
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for node, bus in zip(nodes[1:], buses[1:], strict=True):
        nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
    for node in nodes:
        until(lambda node=node: b"cluster_state:ok" in node.ask("CLUSTER", "INFO"), 20)
    return nodes


async def charged(ledger, of):
    got = await ledger.try_reserve(of, 10)
    assert isinstance(got, SharedPermit)
    return got


def test_all_keys_of_an_admission_are_in_one_slot():
    ledger = SharedLedger(RedisStore("redis://h", namespace="prod"))
    terms = [ledger.terms(limit) for limit in limits()]
    keys = [key for one in terms for key in (one.key, one.permits_key)]
    assert len(set(keys)) == 8
    assert {slot(key) for key in keys} == {slot(b"prod")}
    assert slot(b"123456789") == 12739  # the specification's own example: 0x31C3


async def share(url, namespace, cluster):
    """Have two processes use one limit, and give how many keys each node has of it."""
    stores = [RedisStore(url, namespace=namespace, patience=2.0) for _ in range(2)]
    ledgers = [SharedLedger(store) for store in stores]
    mine, theirs = limits(), limits()
    held = [await charged(ledgers[n % 2], (mine, theirs)[n % 2]) for n in range(5)]
    assert not isinstance(await ledgers[1].try_reserve(theirs, 10), Permit)
    assert held[0].cancel(MONOTONIC.now())
    await ledgers[0].try_reserve(mine, 1e9)
    await charged(ledgers[1], theirs)
    sizes = [int(node.ask("DBSIZE")[1:]) for node in cluster]
    for ledger, store in zip(ledgers, stores, strict=True):
        ledger.close()
        await store.aclose()
    return sizes


async def test_a_cluster_is_one_store(cluster):
    ports = [node.port for node in cluster]
    several = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
    homes = set()
    for namespace in ("a", "b", "c", "d"):
        for url in (several, f"redis://127.0.0.1:{ports[0]}"):
            sizes = await share(url, namespace, cluster)
            assert sorted(sizes) == [0, 0, 8]
            homes.add(sizes.index(8))
            for node in cluster:
                node.ask("FLUSHALL")
    assert len(homes) > 1


async def test_a_cluster_has_the_shared_flights_of_a_namespace_on_one_node(cluster):
    several = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    stores = [RedisStore(several, namespace="a{b}c", patience=2.0) for _ in range(2)]
    one, two = (SharedBoard(store, 2.0) for store in stores)
    name = "2:t}|6:flight|4:{x}y"
    assert await one.join(name, "req_1") == ("req_1", 0.0)
    assert await two.join(name, "req_2") == ("req_1", 0.0)
    came = encoded(Came([Chunk(text="a")]))
    assert await one.publish(name, "req_1", "fly", 0, came) == 1
    assert await one.publish(name, "req_1", "land", 1, encoded(Landed("m", "p", "d"))) == 1
    assert await two.read(name, "req_1", 0) == (True, [Came([Chunk(text="a")]), Landed("m", "p", "d")])
    assert sorted(int(node.ask("DBSIZE")[1:]) for node in cluster) == [0, 0, 3]
    for store in stores:
        await store.aclose()


@pytest.fixture
def sentinel(start_redis, tmp_path):
    master = start_redis()
    replica = start_redis("--replicaof", "127.0.0.1", str(master.port))
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor shared 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds shared 400\nsentinel failover-timeout shared 2000\n"
    )
    watching = start_redis(config=config)
    until(
        lambda: (
            f"port={replica.port}".encode() in watching.ask("INFO", "sentinel")
            or b"slaves=1" in watching.ask("INFO", "sentinel")
        ),
        15,
    )
    return master, replica, watching


async def test_a_replica_that_takes_over_is_found(sentinel):
    master, replica, watching = sentinel
    store = RedisStore(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{watching.port}/shared")
    ledger, mine = SharedLedger(store), limits()
    await store.open()
    await charged(ledger, mine)
    await charged(ledger, mine)
    master.kill()
    began = time.monotonic()
    free = Limit("tenant:free", RateLimitConfig(requests_per_minute=60_000), MONOTONIC.now())
    while not isinstance(await ledger.try_reserve([free], 1), SharedPermit) or store.is_degraded:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.05)
    assert store.status().state == "healthy"
    assert store.status().outages == 1
    assert b"role:master" in replica.ask("INFO", "replication")
    ledger.close()
    await store.aclose()
