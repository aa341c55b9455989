"""`python -m benchmarks [NAMES] [--quick] [--json FILE] [--no-fail]`."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Row, print_table

NAMES = (
    "import_cost",
    "direct_lane",
    "streams",
    "litellm_lane",
    "sync_overhead",
    "scaling",
    "memory",
    "exits",
    "flow_admission",
    "flow_redis",
    "flow_queue",
    "flow_fairness",
    "flow_single_flight",
    "flow_batching",
    "flow_overhead",
    "records_path",
    "records_store",
    "cost_of_a_call",
    "guard_formats",
    "guards_quality",
    "guards_speed",
    "cache_hit",
    "reports",
    "feedback",
)


def main() -> int:
    """Run what was asked for; 1 where a figure misses what it must reach, or could not be taken."""
    options = _options()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}", end="")
    print("; --quick shows that they run: its figures are not to be trusted" if options.quick else "")
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as directory:
        os.environ["GATEWRIGHT_DATA_DIR"] = directory  # not among the records of whoever runs this
        for name in options.names or NAMES:
            found[name] = _run(name, quick=options.quick)
    if options.json:
        Path(options.json).write_text(json.dumps(_as_json(found), indent=1), encoding="utf-8")
    missed = [f"{name}: {row.what}" for name, rows in found.items() for row in rows if row.ok is False]
    print(f"\n{len(missed)} missed" + "".join(f"\n  {one}" for one in missed) if missed else "\nall reached")
    return 1 if missed and not options.no_fail else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures, each beside its peer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="small counts, to see that they run")
    parser.add_argument("--json", metavar="FILE", help="write all numbers to FILE")
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 where a figure misses")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    return options


def _run(name: str, *, quick: bool) -> list[Row]:
    benchmark: Any = importlib.import_module(f"benchmarks.{name}")
    rows: list[Row] = []
    began = time.perf_counter()
    try:
        # One row at a time, so that what was found before a failure is kept.
        rows.extend(benchmark.run(quick))
    except Exception as error:
        rows.append(Row(f"could not be taken: {type(error).__name__}: {str(error)[:160]}", "", ok=False))
    print_table(name, f"{benchmark.ABOUT} ({time.perf_counter() - began:.0f} s)", rows)
    return rows


def _as_json(found: dict[str, list[Row]]) -> dict[str, Any]:
    return {name: [dataclasses.asdict(row) for row in rows] for name, rows in found.items()}


if __name__ == "__main__":
    sys.exit(main())
