"""The cache's file: bounded, swept, put aside where it is damaged, and never waited for long."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.errors import ConfigurationError
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.keyvalue import Item
from gatewright.storage.keyvalue.file import SWEEP_SECONDS, FileStore


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def item(clock: Callable[[], float], ttl: float = 60.0, size: int = 100) -> Item:
    now = clock()
    return Item(b"x" * size, now, now + ttl, now + ttl)


def rows(path: Path) -> int:
    with sqlite3.connect(path) as db:
        (count,) = db.execute("SELECT count(*) FROM kept").fetchone()
    db.close()
    return count


def names(directory: Path) -> list[str]:
    return sorted(one.name for one in directory.iterdir())


async def test_beyond_its_bound_goes_what_was_not_used_for_the_longest(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "c"
    store = FileStore(path, max_entries=50, now=clock)
    await store.set({"old and used": item(clock, 1e6), "old": item(clock, 1e6)})
    for number in range(60):
        clock.time += 100
        if number == 40:
            assert (await store.get(["old and used"]))[0] is not None
        await store.set({f"k{number}": item(clock, 1e6)})
    found = await store.get(["old and used", "old", "k0", "k59"])
    assert [one is not None for one in found] == [True, False, False, True]
    store.close()
    assert rows(path) == 50


async def test_it_is_bounded_in_bytes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "c"
    store = FileStore(path, max_bytes=1_000_000, now=clock)
    for number in range(30):
        clock.time += 1
        await store.set({f"k{number}": item(clock, size=100_000)})
    store.close()
    assert rows(path) == 9
    assert path.stat().st_size < 2_500_000


async def test_what_expired_is_swept_out(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "c"
    store = FileStore(path, now=clock)
    await store.set({f"k{number}": item(clock, 10.0) for number in range(1_200)})
    for _ in range(3):
        clock.time += SWEEP_SECONDS + 1
        await store.set({"new": item(clock, 1e6)})
    store.close()
    assert rows(path) == 1


async def test_a_damaged_file_is_put_aside(tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"this is no database" * 500)
    with caplog.at_level(logging.WARNING):
        store = FileStore(path, now=clock)
    await store.set({"k": item(clock)})
    assert (await store.get(["k"]))[0] is not None
    store.close()
    assert "is damaged" in caplog.text
    assert [name for name in names(tmp_path) if "damaged" in name] == ["c.damaged-1000000"]


def test_a_place_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cache\.path: .*cannot be used") as refused:
        FileStore(tmp_path / "file" / "c")
    assert refused.value.param == "cache.path"
    with pytest.raises(ConfigurationError, match=r"cache\.path"):
        FileStore(tmp_path)


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "c")
    await store.set({"k": item(time.time)})
    other = sqlite3.connect(tmp_path / "c", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await store.get(["k"]))[0] is not None
    other.execute("ROLLBACK")
    other.close()
    store.close()


async def test_a_file_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "c")
    await store.set({"k": item(time.time)})
    held = asyncio.create_task(store._reader.ask(lambda _: time.sleep(1.5), 5.0))
    await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreUnavailable, match="100 ms"):
        await store.get(["k"])
    assert loop.time() - began < 1.4
    began = loop.time()
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            await store.get(["k"])
    assert loop.time() - began < 1.0
    await held
    until = loop.time() + 5
    while loop.time() < until:
        try:
            assert (await store.get(["k"]))[0] is not None
            break
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    store.close()


async def test_a_file_that_is_taken_away_fails_softly(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "c")
    await store.set({"k": item(time.time)})
    store.close()
    for name in names(tmp_path):
        (tmp_path / name).unlink()
    (tmp_path / "c").mkdir()
    with pytest.raises(StoreUnavailable):
        await store.get(["k"])
    await store.aclose()
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_opens_it_anew(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "c")
    await store.set({"k": item(time.time)})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            loop = asyncio.new_event_loop()
            code = 0 if loop.run_until_complete(asyncio.wait_for(_child(store), 5)) else 2
        finally:
            os._exit(code)
    assert await asyncio.to_thread(lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) == 0
    found = await store.get(["k", "from the child"])
    assert [one is not None for one in found] == [True, True]
    store.close()


async def _child(store: FileStore) -> bool:
    await store.set({"from the child": item(time.time)})
    return (await store.get(["k"]))[0] is not None


async def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "c")
    await store.set({"k": item(time.time)})
    modes = {name: (tmp_path / name).stat().st_mode & 0o077 for name in names(tmp_path)}
    store.close()
    assert set(modes.values()) == {0}, modes
