"""Rounds of all contestants by turns: A B C, A B C …, so that whatever drifts drifts for all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Generator, Sequence
from typing import Literal

from benchmarks.processes import start

__all__ = ["Host", "Job", "Rounds", "host", "race"]

Kind = Literal["call", "stream", "blocking"]


@dataclasses.dataclass
class Rounds:
    """What each round cost, in µs a call: CPU of the contestant's process, all its threads, and wall time."""

    cpu: list[float] = dataclasses.field(default_factory=list[float])
    wall: list[float] = dataclasses.field(default_factory=list[float])


class Host:
    """A process with contestants in it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, job: Job) -> dict[str, float]:
        """Run one round there."""
        assert self._process.stdin is not None and self._process.stdout is not None
        what = {"who": job.who, "kind": job.kind, "count": max(job.count, job.at_once), "at_once": job.at_once}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({**what, "collector": job.collector}) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{job.who} failed: see its traceback above")
        return json.loads(answer)


@contextlib.contextmanager
def host(url: str, *names: str) -> Generator[Host]:
    """Start a process for these contestants; they share it where the difference is too small for two."""
    process = start(["-m", "benchmarks.contestants", url, *names])
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Host(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(20)
        process.stdout.close()


@dataclasses.dataclass(frozen=True)
class Job:
    """What one contestant does in each round: `count` calls, `at_once` of them under way at any time.

    `collector` is whether Python's cyclic garbage collector may run, as it does by default.
    """

    host: Host
    who: str
    count: int
    kind: Kind = "call"
    at_once: int = 1
    collector: bool = True


def race(jobs: Sequence[Job], rounds: int) -> list[Rounds]:
    """Run the jobs by turns, after one round each to warm up; the results are in the jobs' order."""
    results = [Rounds() for _ in jobs]
    for number in range(rounds + 1):
        # Every other time backwards, so that nobody always follows the same one.
        for job, result in list(zip(jobs, results, strict=True))[:: 1 if number % 2 else -1]:
            spent = job.host.run(job)
            if number:
                result.cpu.append(spent["cpu"])
                result.wall.append(spent["wall"])
    return results
