"""Everything at once from many threads: all is answered and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright import batch_generate, create_gateway
from gatewright.errors import GatewayError
from gatewright.pipeline.events import CallSettled, CallStarted

pytestmark = pytest.mark.usefixtures("threads_left")
THREADS, CALLS = 8, 50


class Worker:
    """Makes calls of every kind, in an order of its own."""

    def __init__(self, gateway: Any, seed: int) -> None:
        self.gateway = gateway
        self.random = random.Random(seed)
        self.answered = 0

    def run(self) -> int:
        ways = [self.blocking, self.streamed, self.left_early, self.embedded, self.batch, self.awaited]
        while self.answered < CALLS:
            self.random.choice(ways)()
        return self.answered

    def blocking(self) -> None:
        self.answered += bool(self.gateway.generate("x").text)

    def streamed(self) -> None:
        stream = self.gateway.generate_stream("x")
        assert "".join(stream) == stream.response.text
        self.answered += 1

    def left_early(self) -> None:
        with self.gateway.generate_stream("x") as stream:
            self.answered += bool(next(stream))

    def embedded(self) -> None:
        self.answered += len(self.gateway.embed(["a", "b"]).embeddings) == 2

    def batch(self) -> None:
        results = batch_generate(self.gateway, ["a"] * 3, max_concurrent=2, on_error="return")
        assert not any(isinstance(result, GatewayError) for result in results)
        self.answered += 3

    def awaited(self) -> None:
        async def ask() -> None:
            answers = [self.gateway.generate_async("x") for _ in range(3)]
            self.answered += sum(bool(answer.text) for answer in await asyncio.gather(*answers))
            async for _ in self.gateway.generate_stream("x"):
                break
            self.answered += 1

        asyncio.run(ask())


@pytest.mark.parametrize("home", ["thread", "loop"])
def test_everything_at_once_from_many_threads(home: str, until: Any) -> None:
    threads = threading.active_count()
    gateway = create_gateway(
        ["simulator"], "simulator/m", simulator={"latency": 0.001, "tokens_per_second": 20_000}, max_retries=0
    )
    started: list[str] = []
    settled: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, CallStarted | CallSettled):
            (started if isinstance(event, CallStarted) else settled).append(event.call_id)

    gateway.subscribe(hear)
    if home == "thread":
        with ThreadPoolExecutor(THREADS) as pool:
            answered = list(pool.map(lambda seed: Worker(gateway, seed).run(), range(THREADS)))
        until(lambda: gateway.run_blocking(_tasks) == 0)
        gateway.close()
    else:
        answered = asyncio.run(_at_home(gateway))
    assert min(answered) >= CALLS
    assert sorted(settled) == sorted(started)
    assert len(set(settled)) == len(settled)
    gc.collect()
    until(lambda: threading.active_count() <= threads)


async def _tasks() -> int:
    return len(asyncio.all_tasks()) - 1


async def _at_home(gateway: Any) -> list[int]:
    async with gateway:
        with ThreadPoolExecutor(THREADS) as pool:
            loop = asyncio.get_running_loop()
            work = [loop.run_in_executor(pool, Worker(gateway, seed).run) for seed in range(THREADS)]
            answered = list(await asyncio.gather(*work))
        while await _tasks():
            await asyncio.sleep(0.005)
    return answered
