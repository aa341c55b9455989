"""Work that changes hands: what it sees, and what those see who run it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from gatewright.layers.deduplication.relay import Relay, pause


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Made(Relay, kw_only=True):
    """A relay of which is said whether somebody else wants its outcome."""

    goes_on: Callable[[], bool]

    def let_go(self) -> bool:
        return self.goes_on()


def made(work: Coroutine[Any, Any, Any], goes_on: Callable[[], bool] = lambda: False) -> Relay:
    return Made(work=work, goes_on=goes_on)


def begun(work: Coroutine[Any, Any, Any], goes_on: Callable[[], bool] = lambda: False) -> tuple[Any, Relay]:
    relay = made(work, goes_on)

    async def host() -> Any:
        return await relay.run()

    return asyncio.create_task(host()), relay


async def test_it_gives_what_the_work_gives() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 1

    task, relay = begun(work())
    assert await task == 1
    assert not relay.is_handed_over


async def test_it_raises_what_the_work_raises() -> None:
    async def work() -> None:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            await asyncio.sleep(0)
        raise KeyError("k")

    with pytest.raises(KeyError):
        await begun(work())[0]


async def test_without_anybody_else_the_work_is_cancelled_and_may_clean_up() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    task, _ = begun(work())
    await turns()
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["cleaned"]


@pytest.mark.parametrize("waits", ["future", "turn"])
async def test_where_somebody_wants_it_the_work_goes_on_where_it_stood(waits: str) -> None:
    gate, seen = asyncio.Event(), []
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def work() -> None:
        mine = asyncio.current_task()
        variable.set(7)
        while not gate.is_set():
            await (gate.wait() if waits == "future" else asyncio.sleep(0))
            seen.append((asyncio.current_task() is mine, variable.get()))
        await asyncio.sleep(0.001)
        seen.append((asyncio.current_task() is mine, variable.get()))

    task, relay = begun(work(), lambda: True)
    await turns()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert relay.is_handed_over
    gate.set()
    assert relay.task is not None
    await relay.task
    assert set(seen) == {(True, 7)}


async def test_who_is_let_go_is_let_go_at_once_even_where_the_work_could_go_on_just_now() -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    got: list[int] = []

    async def work() -> None:
        got.append(await ready)

    task, relay = begun(work(), lambda: True)
    await turns()
    ready.set_result(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert relay.task is not None
    await relay.task
    assert got == [3]


async def test_a_handed_over_work_can_be_cancelled() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task, relay = begun(work(), lambda: True)
    await turns()
    task.cancel()
    other = relay.task
    assert other is not None
    await turns(1)  # the new task has taken over, and the old one has not gone yet
    other.cancel()
    await asyncio.wait((task, other), timeout=1)
    assert (task.cancelled(), other.cancelled(), ended) == (True, True, ["cancelled"])


@pytest.mark.parametrize("kind", ["asyncio", "anyio", "wait_for", "group"])
async def test_timeouts_and_scopes_of_the_work_know_nothing_of_the_change(kind: str) -> None:
    came: list[str] = []

    async def work() -> str:
        if kind == "asyncio":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    came.append("in")
                    await asyncio.Event().wait()
        elif kind == "anyio":
            with anyio.move_on_after(0.02) as scope:
                came.append("in")
                await anyio.sleep_forever()
            assert scope.cancelled_caught
        elif kind == "wait_for":
            with pytest.raises(TimeoutError):
                came.append("in")
                await asyncio.wait_for(asyncio.Event().wait(), 0.02)
        else:
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    came.append("in")
                    group.create_task(_failing())
                    await asyncio.Event().wait()
        await asyncio.sleep(0)
        came.append("out")
        return "done"

    staying, _ = begun(work())
    assert await staying == "done"
    leaving, relay = begun(work(), lambda: True)
    await turns(2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert relay.task is not None
    await relay.task
    assert came == ["in", "out"] * 2


async def _failing() -> None:
    await asyncio.sleep(0.02)
    raise KeyError("k")


async def test_scopes_around_it_end_it_as_they_end_anything() -> None:
    relays: list[Relay] = []

    async def work() -> None:
        await asyncio.Event().wait()

    async def awaited(goes_on: bool) -> None:
        relays.append(made(work(), lambda: goes_on))
        await relays[-1].run()

    for goes_on in (False, True):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await awaited(goes_on)
        with anyio.move_on_after(0.01) as scope:
            await awaited(goes_on)
        assert scope.cancelled_caught
        assert [relay.is_handed_over for relay in relays[-2:]] == [goes_on] * 2
    for relay in relays[2:]:
        assert relay.task is not None
        relay.task.cancel()
    await turns()
    current = asyncio.current_task()
    assert current is not None
    assert (asyncio.all_tasks(), current.cancelling()) == ({current}, 0)


async def test_the_work_can_cancel_itself() -> None:
    async def work() -> str:
        mine = asyncio.current_task()
        assert mine is not None
        mine.cancel()
        assert mine.cancelling() == 1
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        assert mine.uncancel() == 0
        mine.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        return "here"

    task, relay = begun(work(), lambda: True)
    assert await task == "here"
    assert not relay.is_handed_over
    assert task.cancelling() == 0


async def test_a_host_that_is_closed_closes_the_work() -> None:
    closed: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def host() -> None:
        await made(work(), lambda: True).run()

    coroutine = host()
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]


@pytest.mark.parametrize("outer_goes_on", [True, False])
async def test_one_may_be_run_within_another(outer_goes_on: bool) -> None:
    """A provider may itself be a gateway that merges calls."""
    there: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await there

    inner = made(work(), lambda: True)

    async def around() -> int:
        return await inner.run() + 1

    outcome: list[int] = []

    class Outer(Made, kw_only=True):
        async def fly_on(self) -> None:
            outcome.append(await self.run())

    outer = Outer(work=around(), goes_on=lambda: outer_goes_on)

    async def host() -> Any:
        return await outer.run()

    task = asyncio.create_task(host())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (outer.is_handed_over, inner.is_handed_over) == (outer_goes_on, not outer_goes_on)
    there.set_result(1)
    await turns()
    assert outcome == ([2] if outer_goes_on else [])
    assert inner.done()


async def test_work_at_a_pause_is_ended_by_whoever_is_woken_before_the_end_of_the_task_that_ran_it_is_told() -> None:
    gate, read = asyncio.Event(), asyncio.get_running_loop().create_future()
    steps: list[str] = []

    async def work() -> None:
        try:
            await gate.wait()
            read.set_result(None)  # as one stream tells all of its readers of a chunk
            await pause()
        finally:
            steps.append("cleaned")

    task, relay = begun(work(), lambda: True)
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await read
    await relay.end()
    assert steps == ["cleaned"]
    assert relay.done()
