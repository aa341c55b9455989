"""One call on the litellm lane: CPU beside litellm's own, in one process, so that nothing differs but the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.race import Job, host, race
from benchmarks.report import Row, at_most
from benchmarks.upstream import upstream

ABOUT = "CPU per generate_async on the litellm lane"


def run(quick: bool) -> Iterator[Row]:
    """Compare at 1 and at 50 at once, in many short rounds: the difference is small."""
    count, rounds = (30, 5) if quick else (100, 41)
    with upstream() as url, host(url, "gateway-litellm", "litellm") as both:
        for at_once in (1, 50):
            jobs = [Job(both, who, count, at_once=at_once) for who in ("gateway-litellm", "litellm")]
            gateway, peer = (result.cpu for result in race(jobs, rounds))
            yield at_most(f"a call, {at_once} at once", gateway, peer, 1.05, "litellm")
