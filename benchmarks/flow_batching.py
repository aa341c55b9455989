"""Many embeddings of one text each at once, with batching and without: requests at the provider, and time."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contestants import KEY
from benchmarks.flow_upstream import CountingUpstream, counting_upstream
from benchmarks.processes import allow_many_files
from benchmarks.report import Row, microseconds, ratio_of

ABOUT = "1,000 single-text embed_async at once; wall time per call"
CALLS = 1000
FEWER = 20


def run(quick: bool) -> Iterator[Row]:
    """Compare by turns."""
    allow_many_files()
    with counting_upstream() as upstream:
        batched, single, asked = asyncio.run(_race(upstream, 2 if quick else 9))
    fewer = asked[1] / asked[0]
    yield Row(
        "upstream requests", f"{asked[0]:,.0f}", f"without batching {asked[1]:,.0f}", f"{fewer:,.0f}",
        f">= {FEWER} x fewer", fewer >= FEWER, {"batched": asked[0], "single": asked[1]},
    )  # fmt: skip
    ratio = ratio_of(batched, single)
    yield Row(
        "a call", microseconds(batched), f"without batching {microseconds(single)}", str(ratio), "faster",
        ratio.median < 1, {"batched_us": batched, "single_us": single},
    )  # fmt: skip


async def _race(upstream: CountingUpstream, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Give the wall time of each round, batched and single, and the mean requests of a round."""
    times: tuple[list[float], list[float]] = ([], [])
    asked: tuple[list[int], list[int]] = ([], [])
    async with _gateway(upstream, batching=True) as batching, _gateway(upstream, batching=False) as plain:
        for number in range(rounds + 1):
            for place, gateway in list(enumerate((batching, plain)))[:: 1 if number % 2 else -1]:
                before = upstream.asked
                spent = await _round(gateway, number)
                if number:
                    times[place].append(spent)
                    asked[place].append(upstream.asked - before)
    return *times, [statistics.fmean(each) for each in asked]


def _gateway(upstream: CountingUpstream, *, batching: bool) -> Any:
    from gatewright import create_gateway

    return create_gateway(
        providers=["openai"],
        api_keys={"openai": KEY},
        base_urls={"openai": upstream.url},
        batching={"enabled": batching},
    )


async def _round(gateway: Any, number: int) -> float:
    gc.collect()
    began = time.perf_counter()
    answers = await asyncio.gather(
        *(gateway.embed_async(f"text {number} {place}", model="openai/e") for place in range(CALLS))
    )
    assert all(len(answer.embeddings) == 1 for answer in answers)
    return (time.perf_counter() - began) / CALLS * 1e6
