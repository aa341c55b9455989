"""A limit that holds across processes, and what is left of it when Redis fails under load."""

import asyncio
import bisect
import json
import sys
import time
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("redis_worker.py")
PROCESSES = 4


class Load:
    """Four processes that ask for one limit, and what they wrote down."""

    def __init__(self, url, limit, seconds, per_second, reserved=0, used=0, lasts=0.0, namespace="requests"):
        self.start = 0.0
        self.seconds = seconds
        self.task = {
            "url": url,
            "namespace": namespace,
            "limit": limit,
            "seconds": seconds,
            "per_second": per_second / PROCESSES,
            "reserved": reserved,
            "used": used,
            "lasts": lasts,
        }
        self.workers = []

    async def begin(self):
        for _ in range(PROCESSES):
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                str(WORKER),
                json.dumps(self.task),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self.workers.append(worker)
        # A busy machine takes its time to start them: all begin when the last is ready.
        for worker in self.workers:
            assert await worker.stdout.readline() == b"ready\n"
        self.start = time.monotonic() + 0.3
        for worker in self.workers:
            worker.stdin.write(b"%f\n" % self.start)

    async def until(self, second):
        await asyncio.sleep(self.start + second - time.monotonic())

    async def end(self):
        outputs = await asyncio.wait_for(asyncio.gather(*(one.communicate() for one in self.workers)), 90)
        self.done = [json.loads(out) for out, _ in outputs]
        self.admitted = sorted(at - self.start for one in self.done for at in one["admitted"])
        assert [error for one in self.done for error in one["errors"]] == []
        return self

    def between(self, first, last):
        return bisect.bisect_left(self.admitted, last) - bisect.bisect_left(self.admitted, first)

    def worst_excess(self, rate, first, last, cost=1.0):
        """Give by how much any window within these seconds is above `rate x window`."""
        times = [at for at in self.admitted if first <= at < last]
        # One pass: the most of (what came up to j) - rate x t_j, less the least of the same before i.
        worst, least = 0.0, float("inf")
        for number, at in enumerate(times):
            least = min(least, number * cost - rate * at)
            worst = max(worst, (number + 1) * cost - rate * at - least)
        return worst


# What lies between a decision and its being written down, on a busy machine.
SECONDS_OF_SLACK = 0.05


@pytest.mark.timeout(150)
async def test_over_a_minute_four_processes_use_what_one_limit_allows_of_requests_and_of_tokens(redis_server):
    requests = Load(redis_server.url, {"requests_per_minute": 120, "burst_size": 2, "queue_timeout": 2.0}, 60, 40)
    reserved, used = 150, 100
    limit = {"tokens_per_minute": 12_000, "burst_tokens": 200, "queue_timeout": 2.0}
    tokens = Load(redis_server.url, limit, 60, 40, reserved, used, namespace="tokens")
    for load in (requests, tokens):
        await load.begin()
    await asyncio.gather(requests.end(), tokens.end())
    for load, allowed, burst, cost in ((requests, 120, 2, 1), (tokens, 12_000, 200, used)):
        assert 0.98 * allowed <= load.between(0, 60) * cost <= min(1.02 * allowed, allowed + burst)
        # Nor is there any shorter time in which it was more than that time's part and the burst.
        assert load.worst_excess(allowed / 60, 0, 60, cost) <= burst + allowed / 60 * SECONDS_OF_SLACK
        assert min(len(one["admitted"]) for one in load.done) > 0.1 * allowed / cost
        assert [one["outages"] for one in load.done] == [0] * PROCESSES


async def test_calls_at_once_are_counted_over_all_processes(redis_server):
    load = Load(redis_server.url, {"max_concurrent": 4, "queue_timeout": 3.0}, 3.0, 80, lasts=0.1)
    await load.begin()
    await load.end()
    # Each lasts a tenth of a second: never more than four within one.
    times = load.admitted
    assert all(times[i + 4] - times[i] > 0.1 - SECONDS_OF_SLACK for i in range(len(times) - 4))
    assert load.between(0, 3.0) >= 60


async def paused(server, load):
    server.pause()
    await load.until(4)
    server.go_on()


async def killed(server, load):
    server.kill()
    await load.until(4)
    server.start()


async def flushed(server, load):
    server.ask("FLUSHALL")
    await load.until(4)


@pytest.mark.parametrize("fault", [paused, killed, flushed])
async def test_a_fault_under_load_stops_and_fails_nothing(redis_server, fault):
    rate, burst = 20.0, 3
    limit = {"requests_per_minute": rate * 60, "burst_size": burst, "queue_timeout": 0.3}
    load = Load(redis_server.url, limit, 12, 3 * rate)
    await load.begin()
    await load.until(2)
    await fault(redis_server, load)
    await load.end()
    # Nobody waits longer than its queue's timeout and the 0.1 s in which Redis must answer.
    assert max(one["longest"] for one in load.done) < 0.3 + 0.1 + 0.4
    each_second = [load.between(second, second + 1) for second in range(11)]
    assert min(each_second) >= 0.8 * rate, each_second
    # Before the fault and from five seconds after it the limit holds for all together.
    assert load.worst_excess(rate, 0, 2) <= burst + rate * SECONDS_OF_SLACK
    assert load.worst_excess(rate, 9, 12) <= burst + rate * SECONDS_OF_SLACK
    assert load.between(9, 12) <= 3 * rate + burst
    # Without Redis each process has the limit to itself, and no more than that.
    assert load.between(2, 9) <= PROCESSES * (rate * 7 + burst)
    assert {one["state"] for one in load.done} == {"healthy"}
