"""What is left behind by many calls and streams: resident size, tasks, connections, open files.

`python -m benchmarks.memory URL CALLS STREAMS` does the work in a process of its own and prints what it found.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.contestants import KEY, PROMPT
from benchmarks.processes import start
from benchmarks.report import Row
from benchmarks.upstream import ENDLESS, MODEL, upstream

ABOUT = "one gateway, 50 at once; half of the streams are abandoned while the provider is still writing"
AT_ONCE = 50
FLAT = 1.05


def run(quick: bool) -> Iterator[Row]:
    """Run the work elsewhere and compare its states."""
    calls, streams = (4_000, 400) if quick else (200_000, 20_000)
    with upstream() as url:
        found = _work_elsewhere(url, calls, streams)
    warm, end, closed, before = (found[name] for name in ("warm", "end", "closed", "before"))
    growth = end["rss"] / warm["rss"]
    yield Row(
        f"{calls:,} calls and {streams:,} streams", f"{end['rss']:.1f} MB", f"after warm-up {warm['rss']:.1f} MB",
        f"{growth:.3f}", f"<= {FLAT:g} x", growth <= FLAT, found,
    )  # fmt: skip
    yield Row("  after the calls", f"{found['calls']['rss']:.1f} MB", f"at the start {before['rss']:.1f} MB")
    yield _left("tasks, gateway open", end["tasks"], before["tasks"])
    yield _left("connections, gateway open", end["sockets"], before["sockets"] + AT_ONCE, "one a call at once")
    yield _left("tasks, gateway closed", closed["tasks"], before["tasks"])
    yield _left("open files, gateway closed", closed["files"], before["files"])
    yield _left("connections at the provider, gateway closed", closed["upstream"], 0)


def _left(what: str, found: int, allowed: int, why: str = "as before") -> Row:
    return Row(what, str(found), must=f"<= {allowed} ({why})", ok=found <= allowed)


def _work_elsewhere(url: str, calls: int, streams: int) -> dict[str, Any]:
    process = start(["-m", "benchmarks.memory", url, str(calls), str(streams)])
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("the work failed: see its traceback above")
    return json.loads(out)


async def _work(url: str, calls: int, streams: int) -> dict[str, Any]:
    import gatewright

    states = {"before": await _state(url)}
    gateway = gatewright.create_gateway(providers=["openai"], api_keys={"openai": KEY}, base_urls={"openai": url})

    async def call(number: int) -> None:
        assert (await gateway.generate_async(f"{number} {PROMPT}", model=f"openai/{MODEL}")).text

    async def stream(number: int) -> None:
        model = ENDLESS if number % 2 else MODEL
        reading = gateway.generate_stream(f"{number} {PROMPT}", model=f"openai/{model}")
        async for text in reading:
            assert text
            if model == ENDLESS:
                break
        # One in two of those that are abandoned is closed, the other only forgotten.
        if number % 4 == 1:
            await reading.aclose()

    await _many(call, max(calls // 10, 20 * AT_ONCE))
    await _many(stream, max(streams // 10, 4 * AT_ONCE))
    states["warm"] = await _state(url)
    await _many(call, calls)
    states["calls"] = await _state(url)
    await _many(stream, streams)
    states["end"] = await _state(url)
    await gateway.aclose()
    states["closed"] = await _state(url)
    return states


async def _many(work: Callable[[int], Awaitable[None]], count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*itertools.starmap(worker, [()] * AT_ONCE))


async def _state(url: str) -> dict[str, Any]:
    """Look around once everything has had time to end."""
    await asyncio.sleep(0.3)
    gc.collect()
    return {**_seen(url), "tasks": len(asyncio.all_tasks())}


def _seen(url: str) -> dict[str, Any]:
    """Give the resident size in MB, and how many connections and files are open, here and at the provider."""
    # A connection of its own, closed before anything is counted.
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        there = json.loads(answer.read())["open"]
    files = [_target(path) for path in Path("/proc/self/fd").iterdir()]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "sockets": sum(name.startswith("socket:") for name in files),
        "files": len(files),
        "upstream": there,
    }


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # the listing's own file, which is closed by now
        return ""


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
