"""After a fork: the child starts afresh, the parent goes on, and they share no connection."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [
    pytest.mark.usefixtures("threads_left"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python 3.12 warns of every fork of a process that has threads: what comes of it is what is tested here.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def _in_child(work: Callable[[], Any]) -> None:
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


@pytest.mark.parametrize("home", ["thread", "loop", "none"])
@pytest.mark.parametrize("way", ["blocking", "awaited", "streamed"])
def test_the_child_asks_on_connections_of_its_own(
    gateway_of: Any, upstream: Any, until: Any, home: str, way: str
) -> None:
    loop = asyncio.new_event_loop()
    gateway = gateway_of(upstream)

    def ask() -> None:
        if way == "blocking":
            assert gateway.generate("child").text == "child"
        elif way == "awaited":
            assert asyncio.run(gateway.generate_async("child")).text == "child"
        else:
            assert list(gateway.generate_stream("2")) == ["0 ", "1 "]
        gateway.close()

    if home == "thread":
        gateway.generate("parent")
    elif home == "loop":
        loop.run_until_complete(gateway.generate_async("parent"))
    before = upstream.accepted
    _in_child(ask)
    assert upstream.accepted == before + 1
    if home == "loop":
        assert loop.run_until_complete(gateway.generate_async("again")).text == "again"
    else:
        assert gateway.generate("again").text == "again"
    assert upstream.accepted == before + (2 if home == "none" else 1)
    gateway.close()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    until(lambda: upstream.connections == 0)


def test_a_fork_while_calls_are_under_way(gateway_of: Any, patient: Any, upstream: Any, until: Any) -> None:
    """The child knows nothing of the parent's calls: it neither waits for them nor counts them."""
    gateway, other = gateway_of(patient, close_timeout=60), gateway_of(upstream, close_timeout=60)
    answers: list[str] = []

    def call() -> None:
        answers.append(gateway.generate("parent", deduplicate=False).text)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    stream = other.generate_stream("endless")
    next(stream)
    until(lambda: patient.under_way == 3)

    def ask() -> None:
        (deployment,) = gateway._assembly.table.find("m").states
        assert deployment.in_flight == 0
        patient.release.set()
        assert gateway.generate("child").text == "child"
        assert other.generate("child").text == "child"
        gateway.close()
        other.close()

    _in_child(ask)
    assert patient.under_way == 3
    assert next(stream)
    stream.close()
    patient.release.set()
    for caller in callers:
        caller.join(10)
    assert answers == ["parent"] * 3
    gateway.close()
    other.close()


def test_a_fork_from_within_the_home_loop(gateway_of: Any, upstream: Any) -> None:
    async def main() -> None:
        await gateway.generate_async("parent")
        _in_child(ask)
        assert (await gateway.generate_async("again")).text == "again"
        await gateway.aclose()

    def ask() -> None:
        assert gateway.generate("child").text == "child"
        assert asyncio.run(gateway.generate_async("child")).text == "child"

    gateway = gateway_of(upstream)
    asyncio.run(main())
    assert upstream.accepted == 2


def test_multiprocessing_by_fork(gateway_of: Any, upstream: Any) -> None:
    context = multiprocessing.get_context("fork")
    results: Any = context.SimpleQueue()

    def work(number: int) -> None:
        results.put(gateway.generate(f"{number}").text)
        sys.stderr.close()

    with gateway_of(upstream) as gateway:
        gateway.generate("parent")
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
        assert [child.exitcode for child in children] == [0, 0, 0]
        assert sorted(results.get() for _ in children) == ["0", "1", "2"]
        assert gateway.generate("again").text == "again"
    results.close()
