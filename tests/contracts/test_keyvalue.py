"""What every store of values by keys does, wherever it keeps them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.storage.keyvalue import Item, KeyValueStore
from gatewright.storage.keyvalue.file import FileStore
from gatewright.storage.keyvalue.memory import MemoryStore
from gatewright.storage.keyvalue.redis import RedisKeyValues

NOW = 1_800_000_000.0
ODD = ["", "a|b", "*", "?[a]^-\\", "\x00", "ключ", "\ud800", "k" * 5000, "a\r\n$1"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis and the file the time that they need on a busy machine."""
    monkeypatch.setattr("gatewright.storage.keyvalue.redis.PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.READ_PATIENCE", 10.0)
    monkeypatch.setattr("gatewright.storage.keyvalue.file.WRITE_PATIENCE", 20.0)


class Clock:
    """Redis's own clock cannot be moved: the others' can."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncGenerator[KeyValueStore]:
    if request.param == "memory":
        made: KeyValueStore = MemoryStore(now=clock)
    elif request.param == "file":
        made = FileStore(tmp_path / "cache.sqlite3", now=clock)
    else:
        made = RedisKeyValues(request.getfixturevalue("redis_server").url, now=clock)
    yield made
    await made.aclose()
    made.close()


@pytest.fixture
def item(clock: Clock) -> Callable[..., Item]:
    def make(data: bytes = b"v", ttl: float = 60.0, late: float = 0.0) -> Item:
        now = clock()
        return Item(data, now, now + ttl, now + ttl + late)

    return make


async def test_what_is_set_is_given_with_its_times(store: KeyValueStore, item: Any) -> None:
    given = item(b"\x00\r\n\xff", 60.0, 5.0)
    await store.set({"a": given})
    assert await store.get(["a", "b"]) == [given, None]


async def test_a_later_value_takes_the_place_of_an_earlier(store: KeyValueStore, item: Any) -> None:
    await store.set({"a": item(b"1")})
    await store.set({"a": item(b"2")})
    (found,) = await store.get(["a"])
    assert found is not None
    assert found.data == b"2"


async def test_many_at_once_come_in_the_order_of_the_keys(store: KeyValueStore, item: Any) -> None:
    await store.set({f"k{number}": item(b"%d" % number) for number in range(300)})
    keys = [f"k{number}" for number in range(320)]
    random.shuffle(keys)
    expected = [key[1:].encode() if int(key[1:]) < 300 else None for key in keys]
    assert [one and one.data for one in await store.get(keys)] == expected


@pytest.mark.parametrize("key", ODD, ids=ascii)
async def test_any_text_is_a_key(store: KeyValueStore, item: Any, key: str) -> None:
    await store.set({key: item(b"mine"), key + "x": item(b"other")})
    assert [one and one.data for one in await store.get([key])] == [b"mine"]
    assert await store.delete([key]) == 1
    assert [one and one.data for one in await store.get([key, key + "x"])] == [None, b"other"]
    assert await store.delete_matching(key, lambda _: True) == 1


async def test_what_expired_is_not_there(store: KeyValueStore, item: Any) -> None:
    await store.set({"soon": item(ttl=0.05), "later": item(ttl=60.0)})
    await asyncio.sleep(0.08)
    assert [one is not None for one in await store.get(["soon", "later"])] == [False, True]
    assert await store.delete(["soon"]) == 0


async def test_what_expired_a_minute_ago_by_the_clock_is_not_there(
    store: KeyValueStore, item: Any, clock: Clock
) -> None:
    await store.set({"a": item(ttl=60.0)})
    clock.ahead = 61.0
    assert await store.get(["a"]) == [None]


async def test_add_keeps_only_where_nothing_is(store: KeyValueStore, item: Any) -> None:
    assert await store.add("a", item(b"1"))
    assert not await store.add("a", item(b"2"))
    assert [one and one.data for one in await store.get(["a"])] == [b"1"]
    assert await store.add("b", item(b"3", ttl=0.03))
    await asyncio.sleep(0.05)
    assert await store.add("b", item(b"4"))


async def test_delete_equal_deletes_only_that_value(store: KeyValueStore, item: Any) -> None:
    await store.set({"a": item(b"token")})
    assert not await store.delete_equal("a", b"oken")
    assert not await store.delete_equal("a", b"another")
    assert not await store.delete_equal("b", b"token")
    assert await store.delete_equal("a", b"token")
    assert await store.get(["a"]) == [None]


async def test_delete_counts_those_that_were_there(store: KeyValueStore, item: Any) -> None:
    await store.set({"a": item(), "b": item()})
    assert await store.delete(["a", "b", "c"]) == 2
    assert await store.delete([]) == 0
    assert await store.get(["a", "b"]) == [None, None]


async def test_delete_matching_looks_at_the_prefix_and_asks(store: KeyValueStore, item: Any) -> None:
    await store.set({key: item() for key in ("a*:1", "a*:2", "ab:1", "a", "b")})
    seen: list[str] = []

    def matches(key: str) -> bool:
        seen.append(key)
        return key.endswith("1")

    assert await store.delete_matching("a*:", matches) == 1
    assert sorted(seen) == ["a*:1", "a*:2"]
    assert [one is not None for one in await store.get(["a*:1", "a*:2", "ab:1", "a", "b"])] == [
        False, True, True, True, True,
    ]  # fmt: skip


async def test_delete_matching_finds_thousands(store: KeyValueStore, item: Any) -> None:
    await store.set({f"{side}:{number}": item() for side in "ab" for number in range(2500)})
    assert await store.delete_matching("a:", lambda key: key.endswith(("0", "5"))) == 500
    assert await store.delete_matching("a:", lambda _: True) == 2000
    assert await store.delete_matching("", lambda _: True) == 2500


async def test_a_value_of_a_megabyte(store: KeyValueStore, item: Any) -> None:
    data = random.randbytes(1_000_000)
    await store.set({"a": item(data)})
    (found,) = await store.get(["a"])
    assert found is not None
    assert found.data == data


async def test_it_is_there_again_after_it_was_closed(store: KeyValueStore, item: Any) -> None:
    await store.set({"a": item()})
    await store.check()
    await store.aclose()
    if store.name != "memory":
        store.close()
    await store.check()
    assert [one is not None for one in await store.get(["a"])] == [True]


async def test_many_tasks_at_once(store: KeyValueStore, item: Any) -> None:
    async def work(number: int) -> None:
        key = f"k{number % 7}"
        await store.set({key: item(key.encode())})
        (found,) = await store.get([key])
        assert found is None or found.data == key.encode()
        await store.delete([key])

    await asyncio.gather(*(work(number) for number in range(100)))


async def test_event_loops_share_it(store: KeyValueStore, item: Any) -> None:
    async def elsewhere() -> bool:
        (found,) = await store.get(["a"])
        await store.set({"b": item(b"from there")})
        await store.aclose()
        return found is not None

    await store.set({"a": item()})
    assert await asyncio.to_thread(asyncio.run, elsewhere())
    assert [one and one.data for one in await store.get(["b"])] == [b"from there"]
