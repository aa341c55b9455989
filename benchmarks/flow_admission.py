"""What it costs to be admitted where there is room: four limits are found, reserved and settled, in memory."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.contestants import PROMPT
from benchmarks.report import Row, microseconds

ABOUT = "CPU per admission, in memory, nobody waits; requests, tokens and calls at once limited at each of four limits"
LIMIT = 8.0
ROOMY = {"requests_per_minute": 1e9, "tokens_per_minute": 1e12, "max_concurrent": 1_000_000}


def run(quick: bool) -> Iterator[Row]:
    """Time the bare limiter, and for information the layer with its counting of tokens."""
    count, rounds = (2_000, 5) if quick else (50_000, 15)
    limiter = _limiter()
    spent = _timed(lambda: _admit(limiter, count), count, rounds)
    best = sorted(spent)[len(spent) // 2]
    yield Row(
        "reserve + settle, four limits", microseconds(spent), must=f"<= {LIMIT:g} µs", ok=best <= LIMIT,
        numbers={"us": spent},
    )  # fmt: skip
    with asyncio.Runner() as runner:
        layer, call = _layer(), _call()
        with_layer = _timed(lambda: runner.run(_through(layer, call, count)), count, rounds)
        without = _timed(lambda: runner.run(_through(None, call, count)), count, rounds)
    more = [a - b for a, b in zip(with_layer, without, strict=True)]
    yield Row("  the layer, with its estimate of tokens", microseconds(more), numbers={"us": more})


def _limiter() -> Any:
    from gatewright.layers.rate_limiter import RateLimitConfig, RateLimiter

    limiter = RateLimiter()
    limit = RateLimitConfig(**ROOMY)  # type: ignore[arg-type]
    for scope, name in (("global", ""), ("tenant", "acme"), ("model", "m"), ("key", "k")):
        limiter.configure(scope, name, limit)  # type: ignore[arg-type]
    return limiter


def _admit(limiter: Any, count: int) -> None:
    for _ in range(count):
        limits = limiter.limits_of("acme", "m", "k")
        permit = limiter.try_admit(limits, 300, limiter.now())
        permit.settle(80)
    assert len(limits) == 4


def _layer() -> Any:
    from gatewright.layers.rate_limiter import RateLimitLayer

    return RateLimitLayer(_limiter())


def _call() -> Any:
    from gatewright.pipeline.call import Call
    from gatewright.types.caller import Caller
    from gatewright.types.requests import GenerateRequest

    request = GenerateRequest(model="m", messages=[{"role": "user", "content": PROMPT}])
    return Call(request=request, id="req_1", started_at=0.0, caller=Caller(tenant_id="acme", key_id="k"))


async def _through(layer: Any, call: Any, count: int) -> None:
    from gatewright.pipeline.reply import Reply
    from gatewright.types.results import Answer, Choice
    from gatewright.types.usage import Usage

    usage = Usage(prompt_tokens=38, completion_tokens=42, total_tokens=80)
    answer = Answer(choices=[Choice(text="yes")], model="m", provider="p", usage=usage)

    async def proceed(call: Any, /) -> Any:
        return Reply[Any, Any].whole(answer)

    for _ in range(count):
        reply = await (proceed(call) if layer is None else layer(call, proceed))
        await reply.value()


def _timed(work: Callable[[], object], count: int, rounds: int) -> list[float]:
    spent: list[float] = []
    for number in range(rounds + 1):
        gc.collect()
        began = time.process_time()
        work()
        if number:
            spent.append((time.process_time() - began) / count * 1e6)
    return spent
