"""What it costs to come to a call that is under way already, and how many requests the provider sees."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contestants import KEY, PROMPT
from benchmarks.flow_upstream import counting_upstream
from benchmarks.report import Row, microseconds

ABOUT = "1,000 identical calls at once; CPU per joiner"
CALLS = 1000
LIMIT = 30.0


def run(quick: bool) -> Iterator[Row]:
    """Time the layer with its callers' tasks, and the whole gateway for information."""
    rounds = 3 if quick else 25
    with asyncio.Runner() as runner:
        spent = [runner.run(_joined()) for _ in range(rounds + 1)][1:]
    yield Row(
        f"{CALLS:,} join, their tasks included", microseconds(spent), must=f"<= {LIMIT:g} µs a joiner",
        ok=statistics.median(spent) <= LIMIT, numbers={"us": spent},
    )  # fmt: skip
    with counting_upstream() as upstream:
        whole, most = asyncio.run(_whole(upstream, rounds))
    yield Row("upstream requests", str(most), f"{CALLS:,} calls", must="1", ok=most == 1)
    yield Row("  a joiner's whole generate_async, for information", microseconds(whole), numbers={"us": whole})


async def _joined() -> float:
    from gatewright.clock import MONOTONIC
    from gatewright.layers.deduplication.config import DeduplicationConfig
    from gatewright.layers.deduplication.layer import DeduplicationLayer
    from gatewright.pipeline.call import Call, new_id
    from gatewright.pipeline.events import Events
    from gatewright.pipeline.reply import Reply
    from gatewright.types.folding import chunks_of
    from gatewright.types.requests import GenerateRequest
    from gatewright.types.results import Answer, Choice

    layer = DeduplicationLayer(DeduplicationConfig(), MONOTONIC, Events())
    asked = 0
    all_there = asyncio.Event()

    async def proceed(call: Call, /) -> Reply[Any, Any]:
        nonlocal asked
        asked += 1
        await all_there.wait()
        return Reply.whole(Answer(choices=[Choice(text="yes")], model="m", provider="p"), chunks_of)

    async def join(call: Call) -> str:
        return (await (await layer(call, proceed)).value()).choices[0].text

    request = GenerateRequest(model="m", messages=[{"role": "user", "content": PROMPT}])
    calls = [Call(request=request, id=new_id(), started_at=0.0) for _ in range(CALLS)]
    gc.collect()
    began = time.process_time()
    joining = [asyncio.create_task(join(call)) for call in calls]
    await asyncio.sleep(0)
    all_there.set()
    await asyncio.gather(*joining)
    spent = time.process_time() - began
    assert asked == 1
    return spent / CALLS * 1e6


async def _whole(upstream: Any, rounds: int) -> tuple[list[float], int]:
    from gatewright import create_gateway

    spent: list[float] = []
    most = 0
    async with create_gateway(
        providers=["openai"],
        api_keys={"openai": KEY},
        base_urls={"openai": upstream.url},
        deduplication={"enabled": True},
    ) as gateway:
        for number in range(rounds + 1):
            before = upstream.asked
            gc.collect()
            began = time.process_time()
            prompt = f"{number}: {PROMPT}"
            await asyncio.gather(*(gateway.generate_async(prompt, model="openai/m") for _ in range(CALLS)))
            if number:
                spent.append((time.process_time() - began) / CALLS * 1e6)
            most = max(most, upstream.asked - before)
    return spent, most
