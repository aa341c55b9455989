"""Numbers as a terminal shows them, and the tables of reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatewright.cli.output import console, on_terminal, print_table
from gatewright.cli.sparkline import sparkline

__all__ = ["breakdown_table", "facts_table", "milliseconds", "money", "share", "trends", "whole"]

_UNITS = {"operations": "", "errors": "", "tokens": "", "cost_usd": "$", "average_latency_ms": "ms", "cache_hits": ""}
_TITLES = {"cost_usd": "cost", "average_latency_ms": "latency", "cache_hits": "cache hits"}


def whole(number: float) -> str:
    """Write a whole number, with commas for people."""
    return f"{number:,.0f}" if on_terminal() else f"{number:.0f}"


def money(dollars: float) -> str:
    """Write US dollars: cents, and as many digits more as small amounts need."""
    digits = 2 if dollars >= 1 or dollars == 0 else 4 if dollars >= 0.01 else 6
    return f"${dollars:,.{digits}f}" if on_terminal() else f"{dollars:.12f}".rstrip("0").rstrip(".")


def share(part: float) -> str:
    """Write a share as per cent."""
    return f"{part:.1%}"


def milliseconds(duration: float) -> str:
    """Write milliseconds; long ones as seconds."""
    if duration >= 10_000 and on_terminal():
        return f"{duration / 1000:,.1f} s"
    return f"{duration:,.0f} ms" if on_terminal() and duration >= 10 else f"{duration:.1f} ms"


def facts_table(facts: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one a line."""
    if not on_terminal():
        print_table(("what", "value"), facts)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    console().print(table, soft_wrap=False)


def trends(points: Sequence[Mapping[str, Any]], names: Sequence[str], step: str) -> None:
    """Draw a sparkline for each number, with its highest value; nothing where nobody looks or there is nothing."""
    if not on_terminal() or not any(point["operations"] for point in points):
        return
    from rich.table import Table
    from rich.text import Text

    shown = console()
    table = Table.grid(padding=(0, 2))
    width = max(8, shown.width - 36)
    for name in names:
        values = [float(point[name]) for point in points]
        highest = max(values)
        text = money(highest) if name == "cost_usd" else milliseconds(highest) if _UNITS[name] else whole(highest)
        chart = Text(sparkline(values, width), style="cyan", no_wrap=True)
        table.add_row(Text(_TITLES.get(name, name), style="bold"), chart, Text(f"≤ {text} a {step}", style="dim"))
    shown.print()
    shown.print(table, soft_wrap=False)


def breakdown_table(by: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a line for each model, provider, tenant …, the dearest first."""
    if not on_terminal():
        print()
    elif not groups:
        return
    titles = (by, "operations", "success", "latency", "tokens", "cost", "unpriced")
    if on_terminal() and not any(line["unpriced_operations"] for line in groups.values()):
        titles = titles[:-1]
    rows = [
        (
            name,
            whole(line["operations"]),
            share(line["success_rate"]),
            milliseconds(line["average_latency_ms"]),
            whole(line["tokens"]),
            money(line["cost_usd"]),
            whole(line["unpriced_operations"]),
        )[: len(titles)]
        for name, line in groups.items()
    ]
    print_table(titles, rows, numbers=range(1, len(titles)))
