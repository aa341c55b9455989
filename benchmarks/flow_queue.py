"""What waiting costs: many calls of many tenants in line, and a million tenants that were here once."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Row, microseconds

ABOUT = "CPU per call that waits and goes, beyond what its caller's bare task costs; memory per idle tenant"
LIMIT = 25.0
BYTES = 300
TENANTS = 1000


def run(quick: bool) -> Iterator[Row]:
    """Fill and empty the queue at two depths, then let the tenants pass."""
    depths, rounds, tenants = ((500, 2_000), 2, 50_000) if quick else ((1_000, 10_000), 7, 1_000_000)
    for depth in depths:
        spent = [asyncio.run(_round(depth, min(TENANTS, depth // 2))) for _ in range(rounds + 1)][1:]
        judged = depth == depths[-1]
        for what, each in (("enqueue", [one[0] for one in spent]), ("dequeue", [one[1] for one in spent])):
            yield Row(
                f"{what}, {depth:,} waiting from {min(TENANTS, depth // 2):,} tenants",
                microseconds(each),
                must=f"<= {LIMIT:g} µs" if judged else "",
                ok=sorted(each)[len(each) // 2] <= LIMIT if judged else None,
                numbers={"us": each},
            )
    grown, kept = _visits(tenants)
    yield Row(
        f"{tenants:,} tenants, each here once", f"{grown / tenants:,.0f} bytes each",
        f"{kept:,} limits remembered", must=f"<= {BYTES} bytes each", ok=grown / tenants <= BYTES,
        numbers={"bytes": grown, "kept": kept},
    )  # fmt: skip


async def _round(calls: int, tenants: int) -> tuple[float, float]:
    """Give the µs for each call to get in line and to go, without those of its task."""
    begun, ended = await _bare(calls)
    in_line, gone = await _wait(calls, tenants)
    return in_line - begun, gone - ended


async def _bare(calls: int) -> tuple[float, float]:
    """Give the µs for each of as many tasks to start, and to end, that wait for one turn of the loop only."""

    async def call() -> None:
        await asyncio.sleep(0)

    gc.collect()
    began = time.process_time()
    waiting = [asyncio.create_task(call()) for _ in range(calls)]
    await asyncio.sleep(0)
    in_line = time.process_time()
    await asyncio.gather(*waiting)
    return (in_line - began) / calls * 1e6, (time.process_time() - in_line) / calls * 1e6


async def _wait(calls: int, tenants: int) -> tuple[float, float]:
    """Give the µs for each call to get in line, and to go, one after another."""
    from gatewright.layers.rate_limiter import EVERY, RateLimitConfig, RateLimiter
    from gatewright.layers.rate_limiter.permit import Claim

    limiter = RateLimiter()
    patient: dict[str, Any] = {"queue_timeout": 600, "max_queue_size": 2 * calls}
    limiter.configure("global", "", RateLimitConfig(max_concurrent=1, **patient))
    limiter.configure("tenant", EVERY, RateLimitConfig(requests_per_minute=1e6, tokens_per_minute=1e9, **patient))
    deadline = limiter.now() + 600  # as real calls have one
    first = await limiter.admit(Claim(call_id="first", tokens=1))

    async def call(number: int) -> None:
        tenant = f"tenant-{number % tenants}"
        claim = Claim(call_id=str(number), tokens=100 + number % 50, tenant=tenant, deadline=deadline)
        (await limiter.admit(claim)).settle(100)

    gc.collect()
    began = time.process_time()
    waiting = [asyncio.create_task(call(number)) for number in range(calls)]
    while limiter.waiting < calls:  # noqa: ASYNC110 - they are the ones that run meanwhile
        await asyncio.sleep(0)
    in_line = time.process_time()
    first.settle(1)
    await asyncio.gather(*waiting)
    ended = time.process_time()
    await limiter.aclose()
    return (in_line - began) / calls * 1e6, (ended - in_line) / calls * 1e6


class _Clock:
    """A clock that is set."""

    time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _visits(tenants: int) -> tuple[int, int]:
    """Let each tenant make one call, 10,000 a second; give the bytes that the process grew by, and what it keeps."""
    from gatewright.layers.rate_limiter import EVERY, RateLimitConfig, RateLimiter

    clock = _Clock()
    limiter = RateLimiter(clock)
    limiter.configure("tenant", EVERY, RateLimitConfig(requests_per_minute=600, tokens_per_minute=60_000))
    limiter.configure("tenant_model", (EVERY, EVERY), RateLimitConfig(requests_per_minute=600))
    _visit(limiter, "warm", clock)
    gc.collect()
    before = _resident()
    for number in range(tenants):
        _visit(limiter, f"tenant-{number}", clock)
    gc.collect()
    return max(0, _resident() - before), len(limiter.levels())


def _visit(limiter: Any, tenant: str, clock: _Clock) -> None:
    clock.time += 1e-4
    limits = limiter.limits_of(tenant, "m", None)
    limiter.try_admit(limits, 300, limiter.now()).settle(80)
    limiter.meter.estimator.learn(tenant, "m", 40)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
