"""A process that records feedback is killed at any moment: no id that it was given is lost, none is there twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.servers.postgres import PostgresServer

from gatewright.feedback import CallbackConfig, Feedback, FeedbackConfig, FeedbackLoop, FeedbackStatus

PROCESS = Path(__file__).with_name("feedback_process.py")
CALLBACKS = CallbackConfig(first_wait=0.02, lease=0.5, poll_interval=0.1)


def run_and_kill(directory: Path, seconds: float, *more: str) -> list[tuple[str, str]]:
    """Give what the process said: lines that were cut off by its end are no lines."""
    command = [sys.executable, str(PROCESS), str(directory), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        rest = process.stdout.read()
    lines = (first + rest).decode().splitlines(keepends=True)
    return [(line.split()[0], line.split()[1]) for line in lines if line.endswith("\n")]


def until(met: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def statuses(loop: FeedbackLoop) -> dict[str, int]:
    return loop.get_feedback_stats("acme")["by_status"]


def test_killed_thirty_times_it_lost_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    said: list[tuple[str, str]] = []
    for _ in range(30):
        said += run_and_kill(tmp_path, chance.uniform(0.0, 0.25))
    kept = [id_ for word, id_ in said if word == "kept"]
    heard = {id_ for word, id_ in said if word == "heard"}
    assert len(kept) > 100
    with FeedbackLoop(FeedbackConfig(callbacks=CALLBACKS), data_dir=tmp_path) as loop:
        stored = Counter(case["id"] for case in loop.evaluation_cases("acme"))
        assert set(stored.values()) == {1}
        assert set(kept) <= set(stored)
        assert len(kept) == len(set(kept))

        def hear(feedback: Feedback) -> None:
            heard.add(feedback.id)

        # What was pending when a process died is told as soon as its callback is there again.
        loop.register_callback("correction", hear, name="heard")
        until(lambda: statuses(loop) == {FeedbackStatus.PROCESSED.value: len(stored)})
        assert heard == set(stored)


def test_killed_while_postgresql_is_down_it_lost_nothing(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.url
    chance = random.Random(11)
    said = run_and_kill(tmp_path, 0.3, url)
    postgres_server.kill()
    for _ in range(4):
        said += run_and_kill(tmp_path, chance.uniform(0.1, 0.6), url)
    postgres_server.start()
    said += run_and_kill(tmp_path, 0.2, url)
    kept = [id_ for word, id_ in said if word == "kept"]
    with FeedbackLoop(FeedbackConfig(callbacks=CALLBACKS), data_dir=tmp_path, database_url=url) as loop:
        loop.start()
        stored = Counter(case["id"] for case in loop.evaluation_cases("acme"))
        assert set(stored.values()) == {1}
        assert set(kept) <= set(stored)
        assert len(kept) > 50


def test_while_postgresql_restarts_feedback_is_taken(postgres_server: PostgresServer, tmp_path: Path) -> None:
    config = FeedbackConfig(callbacks=CALLBACKS, store_timeout=1.0)
    with FeedbackLoop(config, data_dir=tmp_path, database_url=postgres_server.url) as loop:
        heard: set[str] = set()  # what is heard just when the database dies is heard once more
        loop.register_callback("correction", lambda feedback: heard.add(feedback.id), name="heard")
        ids = [loop.record_feedback("q", "r", "correction", "before", "acme")]
        postgres_server.kill()
        ids += [loop.record_feedback("q", "r", "correction", "down", "acme") for _ in range(20)]
        ids.append(
            loop.record_feedback("q", "r", "useful", tenant_id="acme", operation_id="req_0123456789abcdef01234567")
        )
        postgres_server.start()
        until(lambda: not loop._keeper.waiting)
        found = loop.list_feedback("acme", limit=1000)
        assert sorted(one.id for one in found) == sorted(ids)
        until(lambda: heard == set(ids[:-1]))
        assert {one.operation for one in found} == {None, "unverified"}


def test_a_postgresql_that_is_silent_holds_nobody_up(postgres_server: PostgresServer, tmp_path: Path) -> None:
    config = FeedbackConfig(store_timeout=0.5)
    with FeedbackLoop(config, data_dir=tmp_path, database_url=postgres_server.url) as loop:
        ids = [loop.record_feedback("q", "r", "correction", "before", "acme")]
        postgres_server.pause()
        ids += [loop.record_feedback("q", "r", "correction", "silent", "acme") for _ in range(20)]
        assert loop._keeper.waiting
        postgres_server.go_on()
        until(lambda: not loop._keeper.waiting)
        assert sorted(one.id for one in loop.list_feedback("acme", limit=1000)) == sorted(ids)
