"""Make `src/gatewright/llmops/prices.json` from the price map of the installed litellm, which is not imported.

Run it with the project's interpreter after a change of litellm's version: `python scripts/update_prices.py`.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from gatewright.llmops.price_entries import price_of

TARGET = Path(__file__).resolve().parent.parent / "src" / "gatewright" / "llmops" / "prices.json"
MODES = {"chat", "completion", "embedding", "responses"}


def price_map() -> dict[str, dict[str, Any]]:
    """Read litellm's map."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed: uv sync --all-extras")
    return json.loads((Path(spec.origin).parent / "model_prices_and_context_window_backup.json").read_text("utf-8"))


def record(entry: dict[str, Any]) -> list[Any]:
    """Give the row of one model: provider, mode, limits, price; the empty end is left away."""
    price = price_of(entry, entry["litellm_provider"])
    row = [entry["litellm_provider"], entry["mode"], entry.get("max_input_tokens"), entry.get("max_output_tokens")]
    row.append(None if price is None else msgspec.to_builtins(price))
    while row[-1] is None:
        row.pop()
    return row


def rendered() -> str:
    """Give the file's text, one model a line so that a change of prices can be read."""
    rows = {name: record(entry) for name, entry in sorted(price_map().items()) if entry.get("mode") in MODES}
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in rows.items())
    return f'{{"source":"litellm {version("litellm")}","models":{{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(rendered(), "utf-8")
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes\n")
