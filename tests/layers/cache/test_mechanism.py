"""The cache used alone: blocking and awaited, many at once, with wrong input, without its store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest, ConfigurationError
from gatewright.layers.cache import CacheConfig, CacheMechanism
from gatewright.storage.errors import StoreUnavailable

BACKENDS = ["memory", "file", "redis"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis and the file the time that they need on a busy machine."""
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.READ_PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.WRITE_PATIENCE", 20.0)


@pytest.fixture(params=BACKENDS)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> CacheConfig:
    if request.param == "file":
        return CacheConfig(path=str(tmp_path / "cache.sqlite3"))
    return (
        CacheConfig(redis_url=request.getfixturevalue("redis_server").url)
        if request.param == "redis"
        else CacheConfig()
    )


def test_the_documented_path_leads_here() -> None:
    from src.core import cache_mechanism

    import gatewright

    assert cache_mechanism.CacheMechanism is CacheMechanism is gatewright.CacheMechanism
    assert cache_mechanism.CacheConfig is CacheConfig is gatewright.CacheConfig


def test_blocking_code_uses_it(config: CacheConfig) -> None:
    with CacheMechanism(config) as cache:
        assert cache.get("a") is None
        assert cache.get("a", default=5) == 5
        cache.set("a", {"list": [1, 2.5, None, True, "é"], "bytes": b"\x00"}, "t", ttl=60)
        assert cache.get("a", "t") == {"list": [1, 2.5, None, True, "é"], "bytes": b"\x00"}
        cache.set("nothing", None)
        assert cache.get("nothing", default=5) is None
        assert cache.delete("a", "t")
        assert not cache.delete("a", "t")
        cache.set("b:1", 1)
        cache.set("b:2", 2, namespace="n")
        assert cache.invalidate_pattern("b:*", namespace="n") == 1
        assert cache.invalidate_pattern("b:?") == 1
        assert cache.clear() == 1


async def test_awaiting_code_uses_it_and_both_see_the_same(config: CacheConfig) -> None:
    async with CacheMechanism(config) as cache:
        await cache.set_async("a", 1, "t")
        assert await cache.get_async("a", "t") == 1
        assert cache.get("a", "t") == 1  # blocks for a moment, as it would anywhere
        cache.set("b", 2, "t")
        assert await cache.get_async("b", "t") == 2
        assert await cache.clear_async(tenant_id="t") == 2
        assert (await cache.stats_async("t")).hits == 3


def test_everyone_has_a_copy(config: CacheConfig) -> None:
    with CacheMechanism(config) as cache:
        value = {"list": [1]}
        cache.set("a", value)
        value["list"].append(2)
        got = cache.get("a")
        assert got == {"list": [1]}
        got["list"].append(3)
        assert cache.get("a") == {"list": [1]}
        computed = cache.get_or_compute("b", lambda: [1])
        computed.append(2)
        assert cache.get("b") == [1]


def test_values_live_their_time(config: CacheConfig) -> None:
    with CacheMechanism(config.model_copy(update={"memory_ttl": 0.01})) as cache:
        cache.set("short", 1, ttl=1.0)
        cache.set("long", 2)
        assert cache.get("short") == 1
        time.sleep(1.1)
        assert (cache.get("short"), cache.get("long")) == (None, 2)


def test_what_is_kept_outside_memory_survives(config: CacheConfig) -> None:
    with CacheMechanism(config) as cache:
        cache.set("a", 1, "t")
    with CacheMechanism(config) as cache:
        assert cache.get("a", "t") == (None if config.backend == "memory" else 1)


def test_threads_compute_once(config: CacheConfig) -> None:
    computed: list[int] = []

    def compute() -> int:
        computed.append(1)
        time.sleep(0.05)
        return 42

    with CacheMechanism(config) as cache, ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: cache.get_or_compute("k", compute, "t"), range(32)))
    assert got == [42] * 32
    assert len(computed) == 1


async def test_tasks_threads_and_loops_compute_once(config: CacheConfig) -> None:
    computed: list[int] = []

    async def compute() -> int:
        computed.append(1)
        await asyncio.sleep(0.05)
        return 42

    def blocking() -> int:
        computed.append(1)
        time.sleep(0.05)
        return 42

    async with CacheMechanism(config) as cache:

        async def elsewhere() -> list[int]:
            got = await asyncio.gather(*(cache.get_or_compute_async("k", compute) for _ in range(5)))
            if cache.tiers.store is not None:
                await cache.tiers.store.aclose()
            return got

        got = await asyncio.gather(
            *(cache.get_or_compute_async("k", compute) for _ in range(20)),
            *(asyncio.to_thread(cache.get_or_compute, "k", blocking) for _ in range(5)),
            asyncio.to_thread(lambda: asyncio.run(elsewhere())),
        )
        assert got == [42] * 25 + [[42] * 5]
    assert len(computed) == 1


WORKER = """
import sys, time
from gatewright import CacheConfig, CacheMechanism
from gatewright.storage.keyvalue import file, redis
redis.PATIENCE = file.READ_PATIENCE = file.WRITE_PATIENCE = 10.0
cache = CacheMechanism(CacheConfig(**{option}))
def compute():
    with open({log!r}, "a") as log:
        log.write("computed\\n")
    time.sleep(0.5)
    return "made"
print(sys.stdin.readline() and cache.get_or_compute("k", compute, "t"))
cache.close()
"""


@pytest.mark.parametrize("config", ["file", "redis"], indirect=True)
def test_processes_compute_once(config: CacheConfig, tmp_path: Path) -> None:
    option = {"path": config.path} if config.backend == "file" else {"redis_url": config.redis_url.get_secret_value()}  # type: ignore[union-attr]
    log = tmp_path / "log"
    code = WORKER.format(option=option, log=str(log))
    pipe = subprocess.PIPE
    workers = [subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    got = [worker.communicate(timeout=30)[0].strip() for worker in workers]
    assert got == ["made"] * 3
    assert log.read_text().splitlines() == ["computed"]


async def test_a_failure_goes_to_all_and_is_not_kept(config: CacheConfig) -> None:
    computed: list[int] = []

    async def fail() -> int:
        computed.append(1)
        await asyncio.sleep(0.02)
        raise KeyError("gone wrong")

    async with CacheMechanism(config) as cache:
        got = await asyncio.gather(*(cache.get_or_compute_async("k", fail) for _ in range(5)), return_exceptions=True)
        assert [type(one) for one in got] == [KeyError] * 5
        assert len(computed) == 1
        assert await cache.get_or_compute_async("k", lambda: 7) == 7


async def test_when_the_one_who_computes_goes_away_another_does(config: CacheConfig) -> None:
    started = asyncio.Event()

    async def forever() -> int:
        started.set()
        await asyncio.sleep(60)
        return 0

    async with CacheMechanism(config) as cache:
        first = asyncio.create_task(cache.get_or_compute_async("k", forever))
        await started.wait()
        second = asyncio.create_task(cache.get_or_compute_async("k", lambda: 7))
        await asyncio.sleep(0.05)
        assert not second.done()
        first.cancel()
        assert await asyncio.wait_for(second, 5) == 7
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_who_stops_waiting_stops_nobody_else() -> None:
    gate = asyncio.Event()

    async def compute() -> int:
        await gate.wait()
        return 7

    cache = CacheMechanism()
    first, second, third = (asyncio.create_task(cache.get_or_compute_async("k", compute)) for _ in range(3))
    await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    assert (await first, await third) == (7, 7)


async def test_computing_may_ask_for_itself(config: CacheConfig) -> None:
    async with CacheMechanism(config) as cache:

        async def outer() -> int:
            return 1 + await cache.get_or_compute_async("k", lambda: 1)

        assert await asyncio.wait_for(cache.get_or_compute_async("k", outer), 5) == 2


async def test_a_blocking_question_on_the_loop_that_computes_does_not_wait_for_ever() -> None:
    cache = CacheMechanism()
    started = asyncio.Event()

    async def compute() -> int:
        started.set()
        await asyncio.sleep(0.05)
        return 1

    task = asyncio.create_task(cache.get_or_compute_async("k", compute))
    await started.wait()
    assert cache.get_or_compute("k", lambda: 2) == 2
    assert await task == 1


@pytest.mark.parametrize(
    ("work", "named"),
    [
        (lambda cache: cache.set("", 1), "key"),
        (lambda cache: cache.get(5), "key"),
        (lambda cache: cache.get("k", 5), "tenant_id"),
        (lambda cache: cache.get("k", namespace=None), "namespace"),
        (lambda cache: cache.set("k", 1, ttl=0), "ttl"),
        (lambda cache: cache.set("k", 1, ttl=-1), "ttl"),
        (lambda cache: cache.set("k", 1, ttl=float("nan")), "ttl"),
        (lambda cache: cache.set("k", 1, ttl=True), "ttl"),
        (lambda cache: cache.set("k", 1, ttl=1e12), "ttl"),
        (lambda cache: cache.set("k", object()), "value"),
        (lambda cache: cache.set("k", [threading.Lock()]), "value"),
        (lambda cache: cache.set("k", 2**70), "value"),
        (lambda cache: cache.set("k", "x" * 2_000), "value"),
        (lambda cache: cache.get_or_compute("k", object), "value"),
        (lambda cache: cache.get_or_compute("k", lambda: 1, ttl=-1), "ttl"),
        (lambda cache: cache.invalidate_pattern(""), "pattern"),
        (lambda cache: cache.invalidate_pattern(5), "pattern"),
        (lambda cache: cache.invalidate_pattern("*", 5), "tenant_id"),
        (lambda cache: cache.clear(tenant_id=5), "tenant_id"),
    ],
)
def test_wrong_input_is_refused_by_its_name_and_changes_nothing(work: Any, named: str) -> None:
    cache = CacheMechanism(CacheConfig(max_value_bytes=1_000))
    cache.set("kept", 1)
    with pytest.raises(BadRequest) as refused:
        work(cache)
    assert refused.value.param == named
    assert str(refused.value).startswith(f"{named}: ")
    assert (cache.get("kept"), cache.get("k"), cache.stats().entries) == (1, None, 1)


def test_a_wrong_configuration_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="config: expected a CacheConfig, got dict"):
        CacheMechanism({"default_ttl": 5})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="default_ttl"):
        CacheConfig(default_ttl=-5)
    with pytest.raises(ConfigurationError, match="default_ttl"):
        CacheConfig(default_ttl=float("nan"))


def test_memory_is_bounded_by_entries_and_by_bytes() -> None:
    few = CacheMechanism(CacheConfig(max_entries=100))
    for number in range(1_000):
        few.set(f"k{number}", number)
    assert 0 < few.stats().entries <= 100
    small = CacheMechanism(CacheConfig(max_bytes=1024 * 1024))
    for number in range(1_000):
        small.set(f"k{number}", "x" * 10_000)
    assert 0 < small.stats().entries <= 105
    assert small.stats().bytes <= 1024 * 1024


def test_what_is_asked_for_often_stays() -> None:
    cache = CacheMechanism(CacheConfig(max_entries=100))
    cache.set("often", 1)
    for number in range(2_000):
        assert cache.get("often") == 1, number
        cache.set(f"once{number}", number)


def test_the_listing_of_keys_does_not_outgrow_the_cache() -> None:
    cache = CacheMechanism(CacheConfig(max_entries=100))
    for number in range(5_000):
        cache.set(f"k{number}", number)
    assert cache.stats().entries <= 100
    assert len(cache.tiers.memory._listed) <= 110
    assert cache.invalidate_pattern("k*") <= 100
    assert len(cache.tiers.memory._listed) <= 10


def test_stats_are_of_each_tenant() -> None:
    cache = CacheMechanism()
    cache.set("k", 1, "a")
    for tenant, key in (("a", "k"), ("a", "k"), ("a", "no"), ("b", "k")):
        cache.get(key, tenant)
    mine, theirs, all_ = cache.stats("a"), cache.stats("b"), cache.stats()
    assert (mine.hits, mine.misses, mine.stored, mine.hit_rate) == (2, 1, 1, pytest.approx(2 / 3))
    assert (theirs.hits, theirs.misses) == (0, 1)
    assert (all_.hits, all_.misses, all_.entries) == (2, 2, 1)
    assert cache.stats("nobody").hit_rate is None


def test_the_counts_of_many_tenants_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.layers.cache.stats.MAX_TENANTS", 3)
    cache = CacheMechanism()
    for number in range(10):
        cache.get("k", f"t{number}")
        cache.get("k", "often")
    assert (cache.stats("t0").misses, cache.stats("t9").misses, cache.stats("often").misses) == (0, 1, 10)
    assert cache.stats().misses == 20


async def test_a_redis_that_is_gone_is_a_miss_and_soon_back(redis_server: Any) -> None:
    async with CacheMechanism(CacheConfig(redis_url=redis_server.url, memory_ttl=0)) as cache:
        await cache.set_async("k", 1)
        assert await cache.get_async("k") == 1
        redis_server.kill()
        loop = asyncio.get_running_loop()
        for _ in range(5):
            began = loop.time()
            assert await cache.get_async("k", default="nothing") == "nothing"
            await cache.set_async("k", 2)
            assert await cache.get_or_compute_async("other", lambda: 3) == 3
            assert loop.time() - began < 3.0
        with pytest.raises(StoreUnavailable):
            await cache.invalidate_pattern_async("*")
        with pytest.raises(StoreUnavailable):
            await cache.delete_async("k")
        assert cache.stats().errors >= 5
        redis_server.start()
        until = loop.time() + 10
        while cache.tiers.store is not None and loop.time() < until:
            await cache.set_async("k", 4)
            if await cache.get_async("k") == 4:
                break
            await asyncio.sleep(0.05)
        assert await cache.get_async("k") == 4


def test_a_redis_that_hangs_holds_blocking_code_for_a_moment_only(
    redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 0.09)
    with CacheMechanism(CacheConfig(redis_url=redis_server.url, memory_ttl=0)) as cache:
        redis_server.pause()
        began = time.monotonic()
        assert cache.get("k") is None
        assert time.monotonic() - began < 2.0  # 0.1 s on a machine with nothing else to do
        redis_server.go_on()


async def test_invalidation_elsewhere_is_seen_after_memorys_time(redis_server: Any) -> None:
    config = CacheConfig(redis_url=redis_server.url, memory_ttl=1.0)
    async with CacheMechanism(config) as one, CacheMechanism(config) as other:
        await one.set_async("k", 1)
        assert await other.get_async("k") == 1
        await one.delete_async("k")
        assert await one.get_async("k") is None
        await asyncio.sleep(1.1)
        assert await other.get_async("k") is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_nothing_of_its_parents(config: CacheConfig) -> None:
    cache = CacheMechanism(config)
    cache.set("kept", 1)
    gate, started = threading.Event(), threading.Event()

    def slow() -> int:
        started.set()
        gate.wait(20)
        return 2

    computing = threading.Thread(target=lambda: cache.get_or_compute("k", slow))
    computing.start()
    started.wait(10)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(10)
            got = (cache.get("kept"), cache.get("k") or cache.get_or_compute("k2", lambda: 3), cache.stats().hits > 0)
            if config.backend == "memory":
                got = (*got[:1], cache.get_or_compute("k", lambda: 3), *got[2:])
            code = 0 if got == (1, 3, True) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gate.set()
    computing.join()
    assert cache.get("k") == 2
    cache.close()


def test_a_file_without_a_path_is_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_DATA_DIR", str(tmp_path / "data"))
    with CacheMechanism(CacheConfig(backend="file")) as cache:
        cache.set("k", 1)
    assert (tmp_path / "data" / "cache.sqlite3").exists()
