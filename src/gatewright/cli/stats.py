"""`gatewright stats`: how it went."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.figures import breakdown_table, facts_table, milliseconds, money, share, trends, whole
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

__all__ = ["stats"]

DAY = 24.0
Part = Literal["model", "provider", "tenant", "agent", "type", "status"]


@reported
def stats(
    tenant: TenantOption = None,
    agent: AgentOption = None,
    hours: HoursOption = None,
    since: SinceOption = None,
    by: Annotated[Part, typer.Option("--by", help="What the table tells apart.")] = "model",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one JSON.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Show how the last 24 hours went: operations, errors, latencies, tokens, costs.

    It reads what the gateways of the configuration's data directory or database recorded; none has to run.

    Examples:

        gatewright stats --tenant acme --since 7d

        gatewright stats --by provider --json
    """
    with opened(config) as reports:
        found = reports.metrics(tenant, agent, hours_of(hours, since, DAY))
    if as_json:
        print_json(found)
        return
    facts_table(_facts(found))
    trends(found["time_series"], ("operations", "errors", "average_latency_ms", "tokens", "cost_usd"), found["step"])
    breakdown_table(by, found[f"by_{by}"])
    say_what_is_missing(found)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    latency = " · ".join(f"{name} {milliseconds(found[f'{name}_latency_ms'])}" for name in ("p50", "p95", "p99"))
    first = f"p50 {milliseconds(found['p50_time_to_first_token_ms'])}"
    return [
        ("from", f"{found['from']} to {found['to']}"),
        ("operations", whole(found["total_operations"])),
        (
            "success",
            f"{share(found['success_rate'])} · {whole(found['failed_operations'])} failed"
            f" · {whole(found['cancelled_operations'])} cancelled",
        ),
        ("latency", f"average {milliseconds(found['average_latency_ms'])} · {latency}"),
        ("first token", f"average {milliseconds(found['average_time_to_first_token_ms'])} · {first}"),
        (
            "waiting",
            f"{milliseconds(found['average_queue_ms'])} in queues · "
            f"{milliseconds(found['average_overhead_ms'])} in the gateway",
        ),
        (
            "tokens",
            f"{whole(found['total_tokens'])}: {whole(found['prompt_tokens'])} in, "
            f"{whole(found['completion_tokens'])} out",
        ),
        ("cost", money(found["total_cost_usd"])),
        (
            "cache",
            f"{share(found['cache_hit_rate'])} hits · {share(found['deduplication_rate'])} shared"
            f" · {money(found['saved_usd'])} saved",
        ),
        ("retries", f"{whole(found['total_retries'])} · {whole(found['total_fallbacks'])} fallbacks"),
    ]
