"""Feedback is durable when its id is given, whatever the database does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatewright.feedback import keeping
from gatewright.feedback.keeping import Keeper
from gatewright.feedback.spool import Kept, Spool
from gatewright.feedback.types import Delivery, Feedback, FeedbackType, new_feedback_id
from gatewright.storage.errors import StoreUnavailable

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def said() -> Feedback:
    return Feedback(
        id=new_feedback_id(),
        tenant_id=None,
        type=FeedbackType.ERROR,
        query="q",
        response="r",
        content="c",
        metadata={"a": [1, "ż"]},
        created_at=NOW,
    )


class Store:
    """A database that is there, down, or silent."""

    def __init__(self) -> None:
        self.rows: dict[str, Kept] = {}
        self.transactions: list[int] = []
        self.down = False
        self.broken = False
        self.answers = threading.Event()
        self.answers.set()

    def add(self, given: Sequence[Kept]) -> None:
        self.answers.wait(20)
        if self.down:
            raise StoreUnavailable("it is down")
        if self.broken:
            raise ValueError("it is wrong")
        self.transactions.append(len(given))
        for kept in given:
            self.rows.setdefault(kept[0].id, kept)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(keeping, "LONGEST_WAIT", 0.05)


@pytest.fixture
def keeper_of(tmp_path: Path, quick: None) -> Iterator[Callable[[Store], Keeper]]:
    made: list[tuple[Keeper, Spool, Store]] = []

    def make(store: Store) -> Keeper:
        spool = Spool(tmp_path / "spool", 1 << 22)
        keeper = Keeper(lambda: store, lambda: spool, 0.3, lambda _: None)
        made.append((keeper, spool, store))
        return keeper

    yield make
    for keeper, spool, store in made:
        store.answers.set()
        keeper.close(5.0)
        spool.close()


def test_what_comes_at_once_is_written_in_one_transaction(store: Store, keeper_of: Callable[[Store], Keeper]) -> None:
    keeper = keeper_of(store)
    store.answers.clear()
    many = [said() for _ in range(30)]
    threads = [threading.Thread(target=keeper.keep, args=[one, []]) for one in many]
    for thread in threads:
        thread.start()
    store.answers.set()
    for thread in threads:
        thread.join()
    assert store.rows.keys() == {one.id for one in many}
    assert sum(store.transactions) == 30
    assert len(store.transactions) < 30


def test_while_the_database_is_down_it_waits_on_the_disk(
    store: Store, keeper_of: Callable[[Store], Keeper], until: Callable[..., None]
) -> None:
    keeper = keeper_of(store)
    store.down = True
    one, due = said(), [Delivery(feedback_id="fb", callback="a", due_at=NOW)]
    keeper.keep(one, due)
    asyncio.run(keeper.keep_async(other := said(), []))
    assert keeper.waiting
    assert keeper.last_error == "StoreUnavailable"
    store.down = False
    until(lambda: len(store.rows) == 2)
    assert store.rows == {one.id: (one, due), other.id: (other, [])}
    until(lambda: not keeper.waiting)
    assert keeper.last_error is None


def test_a_database_that_is_silent_holds_nobody_up(
    store: Store, keeper_of: Callable[[Store], Keeper], until: Callable[..., None]
) -> None:
    keeper = keeper_of(store)
    store.answers.clear()
    first, second, third = said(), said(), said()
    keeper.keep(first, [])
    keeper.keep(second, [])  # it is known to be silent: nothing is waited for
    asyncio.run(keeper.keep_async(third, []))
    assert keeper.waiting
    with pytest.raises(StoreUnavailable, match="did not answer"):
        keeper.ask(lambda: 1)
    store.answers.set()
    until(lambda: not keeper.waiting)
    assert store.rows.keys() == {first.id, second.id, third.id}


def test_an_error_of_the_database_is_the_callers(store: Store, keeper_of: Callable[[Store], Keeper]) -> None:
    keeper = keeper_of(store)
    store.broken = True
    with pytest.raises(ValueError, match="it is wrong"):
        keeper.keep(said(), [])
    store.broken = False
    keeper.keep(one := said(), [])
    assert list(store.rows) == [one.id]
    assert keeper.ask(lambda: 7) == 7


def test_neither_database_nor_disk(store: Store, tmp_path: Path, quick: None) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "spool", 1 << 14)  # smaller than one of its files
    keeper = Keeper(lambda: store, lambda: spool, 0.3, lambda _: None)
    store.down = True
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        keeper.keep(said(), [])
    store.down = False
    keeper.close(5.0)
    assert store.rows == {}


def test_what_an_earlier_process_left_is_brought_in(
    store: Store, keeper_of: Callable[[Store], Keeper], until: Callable[..., None], tmp_path: Path
) -> None:
    many = [said() for _ in range(5)]
    earlier = Spool(tmp_path / "spool", 1 << 22)
    for one in many:
        earlier.add(one, [])
    earlier.close()
    later = keeper_of(store)
    later.start()
    until(lambda: not later.waiting)
    assert store.rows.keys() == {one.id for one in many}


def test_what_cannot_be_stored_at_all_is_put_aside(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "spool", 1 << 22)
    many = [said() for _ in range(5)]
    for one in many:
        spool.add(one, [])

    def picky(given: Sequence[Kept]) -> None:
        if many[2].id in [feedback.id for feedback, _ in given]:
            raise ValueError
        store.add(given)

    assert spool.drain(picky) == 5
    assert store.rows.keys() == {one.id for one in many} - {many[2].id}
    assert many[2].id.encode() in (tmp_path / "spool" / "rejected.feedback").read_bytes()
    assert not spool.waiting()
    assert "is put aside" in caplog.text
    spool.close()


def test_its_thread_ends_when_there_is_nothing_to_do(
    store: Store, keeper_of: Callable[[Store], Keeper], until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "IDLE_SECONDS", 0.01)
    keeper = keeper_of(store)
    before = threading.active_count()
    for _ in range(20):
        keeper.keep(said(), [])
        until(lambda: threading.active_count() == before)
    assert len(store.rows) == 20


@pytest.fixture
def until() -> Callable[..., None]:
    import time

    def wait(met: Callable[[], bool], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.002)

    return wait
