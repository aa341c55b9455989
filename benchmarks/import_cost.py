"""What `import gatewright` costs, each time in a fresh interpreter."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.processes import ROOT, environment
from benchmarks.report import Row

ABOUT = "fresh interpreters; ms are wall time beyond a bare interpreter's, MB are resident, the interpreter included"
MILLISECONDS, MEGABYTES = 150.0, 45.0
FORBIDDEN = ("litellm", "openai", "fastapi", "sqlalchemy", "numpy")
GATEWAY = "gatewright.create_gateway(providers=['openai'], api_keys={'openai': 'sk-none'})"
# Told by the interpreter itself, once it has done what it was asked to.
_TELL = f"""
import json, sys
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps([pages * 4096 / 1e6, [name for name in {FORBIDDEN!r} if name in sys.modules]]))
"""


class Start(NamedTuple):
    """How long a program took, how large it was at its end, and what it had imported that it should not."""

    milliseconds: float
    megabytes: float
    forbidden: list[str]


def run(quick: bool) -> Iterator[Row]:
    """Compare with the bare interpreter, and with litellm for information."""
    programs = {
        "bare": "",
        "ours": "import gatewright",
        "name": "from gatewright import create_gateway",
        "first": f"import gatewright; {GATEWAY}",
        "litellm": "import litellm",
    }
    starts: dict[str, list[Start]] = {name: [] for name in programs}
    for number in range(4 if quick else 16):
        for name, program in programs.items():
            if name != "litellm" or number < 4:
                starts[name].append(_start(program))
    least = {name: statistics.median(start.milliseconds for start in found[1:]) for name, found in starts.items()}
    size = {name: statistics.median(start.megabytes for start in found[1:]) for name, found in starts.items()}
    took = {name: least[name] - least["bare"] for name in programs}
    numbers = {"milliseconds": least, "megabytes": size}
    ours, litellm = took["ours"], took["litellm"]
    yield Row(
        "import gatewright: time", f"{ours:.0f} ms", f"litellm {litellm:,.0f} ms",
        f"1/{least['litellm'] / least['ours']:.0f} in all", f"< {MILLISECONDS:g} ms", ours < MILLISECONDS, numbers,
    )  # fmt: skip
    yield Row(
        "import gatewright: size", f"{size['ours']:.1f} MB", f"litellm {size['litellm']:.0f} MB",
        f"1/{size['litellm'] / size['ours']:.1f}", f"< {MEGABYTES:g} MB", size["ours"] < MEGABYTES,
    )  # fmt: skip
    yield Row("  the bare interpreter", f"{least['bare']:.0f} ms", f"{size['bare']:.1f} MB")
    yield Row("  from gatewright import create_gateway", f"{took['name']:.0f} ms, {size['name']:.1f} MB")
    yield Row("  and a gateway made", f"{took['first']:.0f} ms, {size['first']:.1f} MB")
    for name, what in (("ours", "imported by it"), ("first", "imported by create_gateway")):
        found = sorted({module for start in starts[name] for module in start.forbidden})
        wanted = "none of " + ", ".join(FORBIDDEN)
        yield Row(f"  {what}", ", ".join(found) or "none of them", must=wanted, ok=not found)


def _start(program: str) -> Start:
    began = time.perf_counter()
    command = [sys.executable, "-c", program + _TELL]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
    milliseconds = (time.perf_counter() - began) * 1e3
    told: list[Any] = json.loads(done.stdout)
    return Start(milliseconds, *told)
