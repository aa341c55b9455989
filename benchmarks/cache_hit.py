"""What an answer from memory costs through the whole gateway, its record written, beside litellm's own cache.

Both live in this process, and take turns in short rounds with the same request of about 1 KB.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from benchmarks.contestants import KEY, PARAMS
from benchmarks.report import Row, at_least, microseconds
from benchmarks.upstream import MODEL, upstream

ABOUT = "CPU per answer from memory, a request of 1 KB; the gateway's record written"
LIMIT = 45.0
TIMES_LESS = 20.0
MESSAGES = [
    {"role": "system", "content": "You answer questions about gateways to language models, briefly and exactly."},
    {"role": "user", "content": "What does a gateway do, and why would a program want one? " * 15},
]

Ask = Callable[[], Awaitable[Any]]


def run(quick: bool) -> Iterator[Row]:
    """Take the figures by turns: the gateway with and without records, its vectors, and litellm."""
    count, rounds = (100, 3) if quick else (1000, 21)
    with upstream() as url, tempfile.TemporaryDirectory() as directory:
        os.environ["GATEWRIGHT_DATA_DIR"] = directory
        found = asyncio.run(_race(url, count, rounds))
    ours, bare, vector, theirs = ([spent for spent, _ in rounds_of] for rounds_of in found)
    mine = [own for _, own in found[0]]
    median = statistics.median(ours)
    yield Row(
        "a hit, its record written", microseconds(ours), must=f"<= {LIMIT:g} µs", ok=median <= LIMIT,
        numbers={"us": ours},
    )  # fmt: skip
    yield at_least("the same", ours, theirs, TIMES_LESS, "litellm.acompletion")
    yield Row("  of it on the caller's own thread, for information", microseconds(mine), numbers={"us": mine})
    yield Row("  without a record, for information", microseconds(bare), numbers={"us": bare})
    yield Row("  a vector of 1,536 numbers, for information", microseconds(vector), numbers={"us": vector})


async def _race(url: str, count: int, rounds: int) -> list[list[tuple[float, float]]]:
    from gatewright import create_gateway

    params = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}
    models: Any = [{"model_name": "asked", "litellm_params": params}]
    recording = create_gateway(model_list=models, enable_caching=True)
    bare = create_gateway(model_list=models, enable_caching=True, record_operations=False)
    vectors = create_gateway(
        providers=["simulator"], enable_caching=True, simulator={"dimensions": 1536}, record_operations=False
    )
    asking: list[Ask] = [
        lambda: recording.generate_async(None, "asked", MESSAGES, "acme", **PARAMS),
        lambda: bare.generate_async(None, "asked", MESSAGES, "acme", **PARAMS),
        lambda: vectors.embed_async("a text", "simulator/embedder", "acme"),
        _litellm(url),
    ]
    found: list[list[tuple[float, float]]] = [[] for _ in asking]
    for number in range(rounds + 1):
        for place in range(len(asking))[:: 1 if number % 2 else -1]:
            # litellm is slow: fewer calls of it are as exact.
            spent = await _round(asking[place], count if place < 3 else max(20, count // 10))
            if number:
                found[place].append(spent)
    hits = await recording.generate_async(None, "asked", MESSAGES, "acme", **PARAMS)
    assert hits.cached
    for gateway in (recording, bare, vectors):
        await gateway.aclose()
    return found


def _litellm(url: str) -> Ask:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm
    from litellm.caching.caching import Cache

    litellm.cache = Cache()
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    model = f"openai/{MODEL}"
    return lambda: litellm.acompletion(
        model=model, messages=MESSAGES, api_base=url, api_key=KEY, caching=True, **PARAMS
    )


async def _round(ask: Ask, count: int) -> tuple[float, float]:
    """Give what a call costs, all threads and the caller's own, in µs."""
    await ask()
    gc.collect()
    began, mine = time.process_time(), time.thread_time()
    for _ in range(count):
        await ask()
    return (time.process_time() - began) / count * 1e6, (time.thread_time() - mine) / count * 1e6
