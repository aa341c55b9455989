"""One call on the direct lane: CPU beside the bare HTTP client's and litellm's."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.race import Job, host, race
from benchmarks.report import Row, at_least, at_most, microseconds, ratio_of
from benchmarks.upstream import upstream

ABOUT = "CPU per generate_async on the direct lane, all defaults on"
BARE = ("bare", "bare-json")
# Issue 2: what a call may cost once everything is built, where litellm costs 3,400 µs.
LATER = {1: 230.0, 50: 160.0}
LITELLM_THERE = 3400.0


def run(quick: bool) -> Iterator[Row]:
    """Compare at 1 and at 50 at once."""
    count, slow, rounds = (300, 60, 3) if quick else (3000, 200, 9)
    with upstream() as url, host(url, "gateway") as ours, host(url, *BARE) as bare, host(url, "litellm") as litellm:
        machine = 0.0  # how fast it is, by what one litellm call costs
        for at_once in (1, 50):
            jobs = [
                Job(ours, "gateway", count, at_once=at_once),
                *(Job(bare, name, count, at_once=at_once) for name in BARE),
                Job(litellm, "litellm", slow, at_once=at_once),
            ]
            gateway, client, json_client, peer = (result.cpu for result in race(jobs, rounds))
            yield at_most(f"a call, {at_once} at once", gateway, client, 1.8, "aiohttp + msgspec")
            yield at_least(f"a call, {at_once} at once", gateway, peer, 15, "litellm")
            plain = f"aiohttp + json {microseconds(json_client)}"
            yield Row("  for information", microseconds(gateway), plain, str(ratio_of(gateway, json_client)))
            machine = machine or statistics.median(peer)
            yield _later(at_once, gateway, machine)


def _later(at_once: int, gateway: list[float], litellm: float) -> Row:
    scaled = LATER[at_once] * litellm / LITELLM_THERE
    left = scaled - statistics.median(gateway)
    return Row(
        "  room for later issues",
        f"{left:,.0f} µs",
        f"limit scaled {scaled:,.0f} µs",
        must=f"{LATER[at_once]:g} µs where litellm costs {LITELLM_THERE:,.0f}",
        numbers={"limit_us": scaled, "left_us": left},
    )
