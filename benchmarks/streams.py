"""A stream of 200 chunks in a burst on the direct lane: CPU beside the bare HTTP client's and litellm's."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.race import Job, host, race
from benchmarks.report import Row, at_least, at_most, microseconds
from benchmarks.upstream import CHUNKS, upstream

ABOUT = f"CPU per stream of {CHUNKS} chunks in a burst on the direct lane"


def run(quick: bool) -> Iterator[Row]:
    """Compare at 1 and at 50 at once."""
    count, slow, rounds = (60, 6, 3) if quick else (500, 20, 9)
    with upstream() as url, host(url, "gateway") as ours, host(url, "bare") as bare, host(url, "litellm") as litellm:
        for at_once in (1, 50):
            jobs = [
                Job(ours, "gateway", count, "stream", at_once),
                Job(bare, "bare", count, "stream", at_once),
                Job(litellm, "litellm", slow, "stream", at_once),
            ]
            gateway, client, peer = (result.cpu for result in race(jobs, rounds))
            yield at_most(f"a stream, {at_once} at once", gateway, client, 2.5, "aiohttp + msgspec")
            yield at_least(f"a stream, {at_once} at once", gateway, peer, 20, "litellm")
            yield Row("  each chunk of it", _a_chunk(gateway), f"{_a_chunk(client)}, litellm {_a_chunk(peer)}")


def _a_chunk(rounds: list[float]) -> str:
    return microseconds([cost / CHUNKS for cost in rounds])
