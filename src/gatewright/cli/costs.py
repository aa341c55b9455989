"""`gatewright costs`: what it costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.figures import breakdown_table, facts_table, money, trends, whole
from gatewright.cli.gateways import ConfigPath
from gatewright.cli.output import print_json
from gatewright.cli.stored import (
    AgentOption,
    HoursOption,
    SinceOption,
    TenantOption,
    hours_of,
    opened,
    say_what_is_missing,
)

__all__ = ["costs"]

DAYS_30 = 720.0
Part = Literal["model", "provider", "tenant", "agent", "type"]


@reported
def costs(
    tenant: TenantOption = None,
    agent: AgentOption = None,
    hours: HoursOption = None,
    since: SinceOption = None,
    by: Annotated[Part, typer.Option("--by", help="What the table tells apart.")] = "model",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one JSON.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Show what the last 30 days cost, what was saved, and what is to be expected.

    Costs are US dollars, by the price that each answer had when it was given.

    Examples:

        gatewright costs --by tenant

        gatewright costs --tenant acme --since 2026-11-01 --json
    """
    asked = hours_of(hours, since, DAYS_30)
    with opened(config) as reports:
        found = reports.costs(tenant, agent, asked)
        chart = None if as_json else reports.series(tenant, agent, asked)
    if as_json:
        print_json(found)
        return
    facts_table(_facts(found))
    if chart is not None:
        trends(chart["time_series"], ("cost_usd", "tokens", "operations"), chart["step"])
    breakdown_table(by, found[f"by_{by}"])
    say_what_is_missing(found)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("from", f"{found['from']} to {found['to']}"),
        ("cost", money(found["total_cost_usd"])),
        ("per 1,000 tokens", money(found["cost_per_1k_tokens"])),
        ("per operation", money(found["cost_per_operation_usd"])),
        ("operations", whole(found["total_operations"])),
        ("tokens", whole(found["total_tokens"])),
        ("saved by cache", money(found["saved_by_cache_usd"])),
        ("saved by sharing", money(found["saved_by_deduplication_usd"])),
    ]
    forecast = found["forecast"]
    if forecast is None:
        return [*facts, ("forecast", "none: fewer than seven whole days are known")]
    return [
        *facts,
        ("this month", _interval(forecast["this_month_usd"])),
        ("next 30 days", _interval(forecast["next_30_days_usd"])),
        ("forecast by", f"{forecast['method']}, of {forecast['days_used']} days"),
    ]


def _interval(bounds: dict[str, float]) -> str:
    return f"{money(bounds['expected'])} ({money(bounds['low'])} to {money(bounds['high'])})"
