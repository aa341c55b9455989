"""What blocking costs: `generate` beside `generate_async`, one call at a time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.race import Job, host, race
from benchmarks.report import Row, microseconds, ratio_of
from benchmarks.upstream import upstream

ABOUT = "wall time per call, one at a time"
LIMIT = 150.0


def run(quick: bool) -> Iterator[Row]:
    """Compare in many short rounds; the figure is the median of the rounds' differences."""
    count, rounds = (100, 5) if quick else (500, 21)
    with upstream() as url, host(url, "gateway-sync") as blocking, host(url, "gateway") as awaited:
        jobs = [Job(blocking, "gateway-sync", count, "blocking"), Job(awaited, "gateway", count)]
        ours, peer = race(jobs, rounds)
    more = [a - b for a, b in zip(ours.wall, peer.wall, strict=True)]
    median = statistics.median(more)
    yield Row(
        "generate, blocking",
        microseconds(ours.wall),
        f"generate_async {microseconds(peer.wall)}",
        f"+{median:,.1f} µs ({min(more):,.0f} to {max(more):,.0f})",
        f"<= +{LIMIT:g} µs",
        median <= LIMIT,
        {"ours_us": ours.wall, "peer_us": peer.wall, "more_us": more},
    )
    cpu = f"generate_async {microseconds(peer.cpu)}"
    yield Row("  its CPU, for information", microseconds(ours.cpu), cpu, str(ratio_of(ours.cpu, peer.cpu)))
