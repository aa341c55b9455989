"""Programs that use the gateway and end without closing it: each must end at once, well and silently."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.import_cost import GATEWAY
from benchmarks.processes import ROOT, environment
from benchmarks.report import Row
from benchmarks.upstream import ENDLESS, MODEL, upstream

ABOUT = "programs that use the gateway and end without closing it; warnings on, two at a time"
HANG_SECONDS = 20.0
PROGRAMS = {
    "sync calls": f"""
for _ in range(3):
    assert gateway.generate("hello", model="openai/{MODEL}").text
""",
    "async calls": f"""
async def main():
    answers = await asyncio.gather(*(gateway.generate_async("hello", model="openai/{MODEL}") for _ in range(3)))
    assert all(answer.text for answer in answers)
asyncio.run(main())
""",
    "sync stream half read": f"""
stream = gateway.generate_stream("hello", model="openai/{ENDLESS}")
assert next(stream)
""",
    "async stream abandoned": f"""
async def main():
    async for text in gateway.generate_stream("hello", model="openai/{ENDLESS}"):
        assert text
        break
asyncio.run(main())
""",
}


class Ending(NamedTuple):
    """How a program ended: its fault, empty where there was none, and the seconds that it ran."""

    what: str
    fault: str
    seconds: float


def run(quick: bool) -> Iterator[Row]:
    """Run every program equally often, pinned to one core and not."""
    number = 12 if quick else 300
    ways = list(itertools.product(PROGRAMS, (False, True) if shutil.which("taskset") else (False,)))
    with upstream() as url, concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(_end, *way, url) for way in itertools.islice(itertools.cycle(ways), number)]
        endings = [one.result() for one in runs]
    by_way: dict[str, list[Ending]] = collections.defaultdict(list)
    for ending in endings:
        by_way[ending.what].append(ending)
    for what, found in by_way.items():
        yield Row(
            f"  {what}", f"{_well(found)} of {len(found)}", ratio=f"slowest {max(f.seconds for f in found):.1f} s"
        )
    faults = collections.Counter(ending.fault for ending in endings if ending.fault)
    well = _well(endings)
    yield Row(
        "ended with 0, no output on stderr", f"{well} of {number}", must="all", ok=well == number,
        numbers={"well": well, "programs": number, "faults": dict(faults)},
    )  # fmt: skip
    for fault, times in faults.most_common(5):
        yield Row(f"  {times} x {fault[-160:]!r}", "")


def _well(endings: list[Ending]) -> int:
    return sum(not ending.fault for ending in endings)


def _end(program: str, pinned: bool, url: str) -> Ending:
    gateway = GATEWAY[:-1] + f", base_urls={{'openai': {url!r}}})"
    source = f"import asyncio, gatewright\ngateway = {gateway}\n{PROGRAMS[program]}"
    command = [sys.executable, "-W", "always::ResourceWarning", "-W", "always::RuntimeWarning", "-c", source]
    if pinned:
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    what = f"{program}, {'pinned' if pinned else 'not pinned'}"
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Ending(what, "hung", HANG_SECONDS)
    fault = f"exit code {done.returncode}; " if done.returncode else ""
    return Ending(what, fault + done.stderr.strip(), time.perf_counter() - began)
