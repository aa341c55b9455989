"""Fairness for real: how long two small tenants wait beside a third that sends a hundred times as much."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.report import Row

ABOUT = "p95 of waiting, bursts of 30 calls against a limit of 50 a second, in real time through the whole gateway"
PER_SECOND = 50
# So that the 95th percentile is amid those of one place in a burst, not between two.
BURST, EVERY = 30, 3.0
FLOOD = 100
RATIO = 2.0


def run(quick: bool) -> Iterator[Row]:
    """Measure each of the two alone, then both beside the flood."""
    seconds = 6.0 if quick else 30.0
    alone = {tenant: _p95(asyncio.run(_waits(seconds, (tenant,), flood=False))[tenant]) for tenant in "bc"}
    among = asyncio.run(_waits(seconds, ("b", "c"), flood=True))
    for tenant in "bc":
        ratio = _p95(among[tenant]) / alone[tenant]
        yield Row(
            f"tenant {tenant}", f"{_p95(among[tenant]):.2f} s", f"alone {alone[tenant]:.2f} s", f"{ratio:.2f}",
            f"<= {RATIO:g} x", ratio <= RATIO, {"among": among[tenant], "alone": alone[tenant]},
        )  # fmt: skip


async def _waits(seconds: float, tenants: tuple[str, ...], *, flood: bool) -> dict[str, list[float]]:
    """Give each tenant's waiting times."""
    from gatewright import create_gateway

    waited: dict[str, list[float]] = {tenant: [] for tenant in tenants}
    async with create_gateway(
        providers=["simulator"],
        default_model="simulator/m",
        simulator={"output_tokens": 2},
        deduplication={"enabled": False},
        record_operations=False,
        rate_limit={"requests_per_minute": 60 * PER_SECOND, "burst_size": 1, "max_queue_size": 1000},
    ) as gateway:

        async def call(tenant: str, number: int) -> None:
            began = time.perf_counter()
            with contextlib.suppress(Exception):  # the flood's, for which the queue is too short
                await gateway.generate_async(f"{tenant}{number}", tenant_id=tenant, max_tokens=10)
                if tenant in waited:
                    waited[tenant].append(time.perf_counter() - began)

        async def bursts(tenant: str, offset: float, running: asyncio.TaskGroup) -> None:
            await asyncio.sleep(offset)
            for number in range(int(seconds / EVERY)):
                for place in range(BURST):
                    running.create_task(call(tenant, number * BURST + place))
                await asyncio.sleep(EVERY)

        async def pour(running: asyncio.TaskGroup) -> None:
            until, sent = time.perf_counter() + seconds, 0
            began = time.perf_counter()
            while (now := time.perf_counter()) < until:
                for _ in range(int((now - began) * FLOOD * BURST / EVERY) - sent):
                    sent += 1
                    running.create_task(call("a", sent))
                await asyncio.sleep(0.01)

        await gateway.generate_async("warm", tenant_id="w", max_tokens=10)
        async with asyncio.TaskGroup() as running:
            for place, tenant in enumerate(tenants):
                running.create_task(bursts(tenant, 0.3 + place * EVERY / 2, running))
            if flood:
                running.create_task(pour(running))
    return waited


def _p95(values: list[float]) -> Any:
    return sorted(values)[int(0.95 * (len(values) - 1))]
