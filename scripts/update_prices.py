"""Make `src/gatewright/llmops/prices.json` from the price map of the installed litellm, which is not imported.

Run it with the project's interpreter after a change of litellm's version: `python scripts/update_prices.py`.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "src" / "gatewright" / "llmops" / "prices.json"
MODES = {"chat", "completion", "embedding", "responses"}
RATES = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "output_cost_per_reasoning_token",
)
ABOVE = re.compile(rf"^(?:{'|'.join(RATES[:4])})_above_(\d+)(k?)_tokens$")
REACHED_IS_ABOVE = {"xai"}  # bills the dearer rate from the threshold on, the others beyond it
HALF_PRICE_CACHE = {"fireworks_ai"}  # what is read from the cache costs half where nothing else is said


def price_map() -> dict[str, dict[str, Any]]:
    """Read litellm's map."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed: uv sync --all-extras")
    return json.loads((Path(spec.origin).parent / "model_prices_and_context_window_backup.json").read_text("utf-8"))


def trimmed(row: list[Any]) -> list[Any] | None:
    """Leave the empty end of a row away; None if nothing is left."""
    while row and row[-1] is None:
        row.pop()
    return row or None


def rates(entry: dict[str, Any]) -> list[Any] | None:
    """Give the rates of an entry, with those of long prompts nested at their end."""
    if entry.get("tiered_pricing"):
        return tiers(entry)
    own = [entry.get(name) for name in RATES]
    if entry["litellm_provider"] in HALF_PRICE_CACHE and own[2] is None and own[0]:
        own[2] = own[0] * 0.5
    return trimmed([*own, *long_prompts(entry, own)]) if own[0] is not None or own[1] is not None else None


def long_prompts(entry: dict[str, Any], own: list[Any]) -> list[Any]:
    """Give the threshold in tokens and the rates above it, where an entry has them."""
    found = {match.groups() for name in entry if (match := ABOVE.match(name))}
    if not found:
        return []
    if len(found) > 1:
        raise SystemExit(f"several thresholds are not foreseen: {entry}")
    [(number, thousands)] = found
    threshold = int(number) * (1000 if thousands else 1)
    above = [entry.get(f"{name}_above_{number}{thousands}_tokens", rate) for name, rate in zip(RATES, own, strict=True)]
    return [threshold - (entry["litellm_provider"] in REACHED_IS_ABOVE), trimmed(above)]


def tiers(entry: dict[str, Any]) -> list[Any] | None:
    """Give a table of tiers as rates within rates: a tier's missing rates are its input's."""
    table = sorted(entry["tiered_pricing"], key=lambda tier: tier["range"][0])
    nested: list[Any] | None = None
    for place, tier in reversed(list(enumerate(table))):
        own = [tier.get(name) for name in RATES]
        own[1] = entry.get(RATES[1]) if own[1] is None else own[1]
        following = [int(table[place + 1]["range"][0]), nested] if nested else []
        nested = trimmed([*own, *following])
    return nested


def record(entry: dict[str, Any]) -> list[Any]:
    """Give the row of one model: provider, mode, limits, rates."""
    limits = [entry.get("max_input_tokens"), entry.get("max_output_tokens")]
    return trimmed([entry["litellm_provider"], entry["mode"], *limits, rates(entry)]) or []


def rendered() -> str:
    """Give the file's text, one model a line so that a change of prices can be read."""
    rows = {name: record(entry) for name, entry in sorted(price_map().items()) if entry.get("mode") in MODES}
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in rows.items())
    return f'{{"source":"litellm {version("litellm")}","models":{{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    TARGET.write_text(rendered(), "utf-8")
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes\n")
