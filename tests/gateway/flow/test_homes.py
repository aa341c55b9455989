"""Limits, merging, batching and breakers where the event loop goes and another comes, and after a fork."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright.layers.rate_limiter import RateLimitConfig

pytestmark = pytest.mark.usefixtures("threads_left")

EVERYTHING: dict[str, Any] = {
    "rate_limit": {"requests_per_minute": 60_000, "burst_size": 1, "tokens_per_minute": 1e6, "max_concurrent": 3},
    "params": {"max_parallel_requests": 2, "rpm": 60_000},
    "circuit_breaker": {},
    "batching": {"enabled": True},
    "deduplication": {"enabled": True},
}
OF_ONE = {"rate_limit": RateLimitConfig(max_concurrent=1, queue_timeout=20)}


async def some_of_all(gateway: Any, name: str) -> None:
    answers = [gateway.generate_async(f"{name}{n % 10}") for n in range(20)]
    vectors = [gateway.embed_async(f"{name}{n}") for n in range(20)]
    got = await asyncio.gather(*answers, *vectors)
    assert [one.text for one in got[:20]] == [f"{name}{n % 10}" for n in range(20)]
    assert [len(one.embeddings) for one in got[20:]] == [1] * 20
    assert gateway.queue_status().length == 0
    assert {one.in_flight for one in gateway.rate_limits()} == {0}


def test_from_loop_to_loop(gateway_of: Any, upstream: Any) -> None:
    gateway = gateway_of(upstream, **EVERYTHING)
    for number in range(3):
        asyncio.run(some_of_all(gateway, f"loop {number} "))
    gateway.close()


def test_from_blocking_to_loop_and_back(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **EVERYTHING) as gateway, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: gateway.generate(f"{n}").text, range(20))) == [f"{n}" for n in range(20)]
        asyncio.run(some_of_all(gateway, "loop "))
        assert len(list(threads.map(gateway.embed, [f"x{n}" for n in range(20)]))) == 20


def test_from_loop_to_blocking(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **EVERYTHING) as gateway:
        asyncio.run(some_of_all(gateway, "loop "))
        assert gateway.generate("after").text == "after"


def test_a_loop_that_ends_leaves_its_room_to_the_next(gateway_of: Any, patient: Any, until_async: Any) -> None:
    gateway = gateway_of(patient, **OF_ONE)

    async def leave_all() -> None:
        calls = [asyncio.ensure_future(gateway.generate_async(f"{n}")) for n in range(3)]
        await until_async(lambda: gateway.queue_status().length == 2)
        assert len(calls) == 3

    asyncio.run(leave_all())
    assert gateway.queue_status().length == 0
    patient.release.set()
    assert asyncio.run(gateway.generate_async("next")).text == "next"
    assert {one.in_flight for one in gateway.rate_limits()} == {0}
    gateway.close()


def test_what_waits_from_another_thread_moves_along(gateway_of: Any, patient: Any, until_async: Any) -> None:
    gateway = gateway_of(patient, **OF_ONE)
    got: list[str] = []
    other = threading.Thread(target=lambda: got.append(gateway.generate("from the thread").text))

    async def while_it_lasts() -> None:
        async with asyncio.TaskGroup() as group:
            mine = group.create_task(gateway.generate_async("mine"))
            await until_async(lambda: patient.started == 1)
            other.start()
            await until_async(lambda: gateway.queue_status().length == 1)
            mine.cancel()

    patient_loop = asyncio.run(while_it_lasts())
    assert patient_loop is None
    patient.release.set()
    other.join(20)
    assert got == ["from the thread"]
    gateway.close()


def test_an_old_loops_stream_gives_nothing_back_twice(gateway_of: Any, upstream: Any) -> None:
    gateway = gateway_of(upstream, **OF_ONE)

    async def begin() -> Any:
        stream = gateway.generate_stream("endless")
        assert await anext(aiter(stream)) == "0 "
        return stream

    stream = asyncio.run(begin())
    assert gateway.generate("next").text == "next"
    stream.close()
    assert gateway.generate("after").text == "after"
    assert {one.in_flight for one in gateway.rate_limits()} == {0}
    gateway.close()


def in_child(work: Callable[[], Any]) -> None:
    """Run `work` in a forked child and fail as it does."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        try:
            work()
        except BaseException:
            os.write(theirs, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as report:
        failed = report.read()
    assert os.waitpid(child, 0)[1] == 0
    assert failed == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_its_own_room(gateway_of: Any, patient: Any, until: Any) -> None:
    gateway = gateway_of(patient, **OF_ONE, deduplication={"enabled": True}, circuit_breaker={})

    def child() -> None:
        assert gateway.queue_status().length == 0
        patient.release.set()
        # The same call as the parent's that is under way: it must not wait for that.
        assert gateway.generate("0").text == "0"
        assert asyncio.run(gateway.generate_async("1")).text == "1"
        gateway.close()

    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(gateway.generate, f"{n}") for n in range(3)]
        until(lambda: patient.started == 1 and gateway.queue_status().length == 2)
        in_child(child)
        assert gateway.queue_status().length == 2
        patient.release.set()
        assert [call.result(20).text for call in calls] == ["0", "1", "2"]
    gateway.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_batches_by_itself(gateway_of: Any, patient: Any, until: Any) -> None:
    gateway = gateway_of(patient, batching={"enabled": True})

    def child() -> None:
        patient.release.set()
        assert len(gateway.embed("b").embeddings) == 1
        gateway.close()

    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(gateway.embed, f"{n}") for n in range(3)]
        until(lambda: patient.started >= 1)
        in_child(child)
        patient.release.set()
        assert [len(call.result(20).embeddings) for call in calls] == [1, 1, 1]
    gateway.close()
