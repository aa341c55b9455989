"""What a report takes, and that it does not depend on how many operations there are."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Row

ABOUT = "CPU of a tenant's metrics over 30 days, from a store with a tenth of the operations and with all of them"
LIMIT_MS = 50.0
NOT_FASTER = 2.0
OPERATIONS = 10_000_000
TENANTS, AGENTS, DAYS = 100, 2, 30
TYPES = (1, 3)
MODELS = (
    ("gpt-4o", "openai"),
    ("gpt-4o-mini", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("mistral-large", "mistral"),
)
HOUR, DAY = 3600, 86400
NOW = 1_790_000_000


def run(quick: bool) -> Iterator[Row]:
    """Fill two stores, and time the report in each."""
    whole = 100_000 if quick else OPERATIONS
    directory = Path(tempfile.mkdtemp(prefix="gatewright-reports-"))
    try:
        spent: dict[int, list[float]] = {}
        for count in (whole // 10, whole):
            path = directory / f"{count}.sqlite"
            _fill(path, count)
            spent[count] = _timed(path, 5 if quick else 40)
            size = path.stat().st_size / 1e6
            yield Row(
                f"{count:,} operations ({size:,.0f} MB of rollups)",
                f"{_median(spent[count]):.1f} ms",
                must=f"<= {LIMIT_MS:g} ms" if count == whole else "",
                ok=_median(spent[count]) <= LIMIT_MS if count == whole else None,
                numbers={"ms": spent[count]},
            )
        ratio = _median(spent[whole]) / _median(spent[whole // 10])
        yield Row(
            "a tenth is faster by", f"{ratio:.2f} x", must=f"<= {NOT_FASTER:g} x",
            ok=None if quick else ratio <= NOT_FASTER,  # so few have not filled their rollups
            numbers={"ratio": ratio},
        )  # fmt: skip
    finally:
        shutil.rmtree(directory)


def _timed(path: Path, rounds: int) -> list[float]:
    """Give the CPU time of a report in ms, by round; each is of another tenant."""
    from gatewright.llmops.reports import Reports

    reports = Reports(path, wall=lambda: float(NOW))
    spent: list[float] = []
    for number in range(rounds + 1):
        began = time.process_time()
        found = reports.metrics(f"tenant-{number % TENANTS}", None, 24 * DAYS)
        spent.append((time.process_time() - began) * 1000)
        assert found["total_operations"] > 0
    reports.close()
    return spent[1:]


def _fill(path: Path, count: int) -> None:
    """Write the rollups of so many operations, spread over tenants, models and time, by the store's own code.

    The operations themselves are left out: no report reads them, and ten million of them take minutes to write.
    """
    from gatewright.storage.sql.sqlite import SqliteBackend

    backend = SqliteBackend(path)
    with backend.transaction():
        series = [(backend.series(key), share) for key, share in _keys(backend)]
    rng = random.Random(1)
    for number, share in series:
        grains = _rollups(rng, number, round(count * share))
        with backend.transaction():
            for grain, rollups in grains.items():
                backend.add_up(grain, [rollup.row(key, (None, None)) for key, rollup in rollups.items()])
    backend.close()


def _keys(backend: Any) -> Iterator[tuple[tuple[int, ...], float]]:
    """Give every series, and its share of all operations: two in a hundred of them fail."""
    for tenant, agent in itertools.product(range(TENANTS), range(AGENTS)):
        for (model, provider), kind in itertools.product(MODELS, TYPES):
            named = [backend.name(name) for name in (f"tenant-{tenant}", f"agent-{agent}", model, provider)]
            share = 1 / (TENANTS * AGENTS * len(MODELS) * len(TYPES))
            yield (*named, kind, 0), share * 0.98
            yield (*named, kind, 1), share * 0.02


def _rollups(rng: random.Random, series: int, count: int) -> dict[str, dict[tuple[int, int], Any]]:
    """Make the rollups of one series: more operations by day than by night, latencies as they are seen."""
    from gatewright.storage.sql.rollups import GRAINS, SUMS, Rollup
    from gatewright.storage.sql.sketches import sketch_of

    durations: dict[str, defaultdict[tuple[int, int], list[int]]] = {grain: defaultdict(list) for grain in GRAINS}
    first = NOW - DAYS * DAY
    for _ in range(count):
        at = first + int(min(rng.random(), rng.random() + 0.5) * DAYS * DAY)
        latency = int(rng.lognormvariate(13.6, 0.6))
        for grain, seconds in GRAINS.items():
            if grain == "minute" and at < NOW - DAY:
                continue  # of a range of 30 days no minute is read
            durations[grain][series, at - at % seconds].append(latency)
    each = {"calls": 1, "prompt_tokens": 800, "completion_tokens": 150, "cost": 3_500_000_000}
    return {
        grain: {
            key: Rollup(
                [sum(latencies) if name == "latency" else each.get(name, 0) * len(latencies) for name in SUMS],
                sketch_of(latencies),
                None,
            )
            for key, latencies in by_key.items()
        }
        for grain, by_key in durations.items()
    }


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
