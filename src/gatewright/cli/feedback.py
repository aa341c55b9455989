"""`gatewright feedback`: what people said of the answers, listed, counted, learned from and exported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.exits import EPILOG, Debug, reported
from gatewright.cli.gateways import ConfigPath, open_gateway
from gatewright.cli.output import complain, print_json, print_table, printable

if TYPE_CHECKING:
    from gatewright.feedback import FeedbackLoop

__all__ = ["feedback"]

feedback = typer.Typer(no_args_is_help=True)

Tenant = Annotated[
    str | None, typer.Option("--tenant", "-t", help="Whose feedback; without it everyone's.", metavar="NAME")
]
Kind = Annotated[str | None, typer.Option("--type", help="correction, rating, useful, improvement or error.")]
Status = Annotated[str | None, typer.Option(help="pending, processed, applied or ignored.")]
Hours = Annotated[float | None, typer.Option("--hours", help="Only the last so many hours.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@feedback.command("list", short_help="List feedback, the newest first.", epilog=EPILOG)
@reported
def list_feedback(
    tenant: Tenant = None,
    kind: Kind = None,
    status: Status = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many.")] = 20,
    as_json: Json = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """List feedback, the newest first.

    Example:

        gatewright feedback list --tenant acme --type correction
    """
    with open_gateway(config) as gateway:
        found = gateway.feedback_loop.list_feedback(_scope(tenant), limit=limit, feedback_type=kind, status=status)
    if as_json:
        for one in found:
            print_json(one)
        return
    rows = [
        (
            one.id,
            f"{one.created_at:%Y-%m-%d %H:%M}",
            one.tenant_id or "",
            one.type.value,
            one.status.value,
            "" if one.rating is None else f"{one.rating:g}",
            _short(one.content),
        )
        for one in found
    ]
    print_table(("id", "when (UTC)", "tenant", "type", "status", "rating", "content"), rows, numbers=(5,))


@feedback.command("stats", short_help="Count feedback, and what callbacks have had of it.", epilog=EPILOG)
@reported
def stats(
    tenant: Tenant = None, hours: Hours = None, as_json: Json = False, config: ConfigPath = None, debug: Debug = False
) -> None:
    """Count feedback by type and status, and what each callback has had of it.

    Example:

        gatewright feedback stats --hours 24
    """
    with open_gateway(config) as gateway:
        found = gateway.feedback_loop.get_feedback_stats(_scope(tenant), time_range_hours=hours)
    if as_json:
        print_json(found)
        return
    counts: list[tuple[str, str]] = [("feedback", str(found["total_feedback"]))]
    if found["average_rating"] is not None:
        counts.append(("average rating", f"{found['average_rating']:g} of {found['rating_count']}"))
    counts += [(name, str(count)) for by in ("by_type", "by_status") for name, count in found[by].items() if count]
    print_table(("what", "number"), counts, numbers=(1,))
    told = [(name, *(str(one[state]) for state in _STATES)) for name, one in found["callbacks"].items()]
    if told:
        print_table(("callback", *_STATES), told, numbers=(1, 2, 3))


@feedback.command("insights", short_help="Say what feedback teaches.", epilog=EPILOG)
@reported
def insights(
    tenant: Tenant = None,
    hours: Hours = None,
    period: Annotated[float, typer.Option(help="Hours of the periods that are compared.")] = 168.0,
    as_json: Json = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Say what feedback teaches: ratings and their trend, common corrections, improvements and errors.

    Example:

        gatewright feedback insights --tenant acme --period 24
    """
    with open_gateway(config) as gateway:
        found = gateway.feedback_loop.get_learning_insights(_scope(tenant), time_range_hours=hours, period_hours=period)
    if as_json:
        print_json(found)
        return
    summary = [
        ("feedback", str(found["total_feedback"])),
        ("average rating", "" if found["average_rating"] is None else f"{found['average_rating']:g}"),
        ("trend", found["rating_trend"]["direction"] or ""),
    ]
    print_table(("what", "value"), summary, numbers=(1,))
    themes = [
        (kind, str(one["count"]), str(one["this_period"]), str(one["last_period"]), _short(one["text"]))
        for kind, name in _THEMES
        for one in found[name]
    ]
    print_table(("kind", "times", "this period", "last", "what was said"), themes, numbers=(1, 2, 3))
    if found["grouping"]["reason"]:
        complain("warning", f"grouped by words, not by meaning: {found['grouping']['reason']}")


@feedback.command("export", short_help="Write feedback to evaluate or to train with.", epilog=EPILOG)
@reported
def export(
    path: Annotated[Path, typer.Argument(help="The file to write, one JSON a line; - is stdout.")],
    what: Annotated[str, typer.Option("--as", help="evaluation or fine-tuning.")] = "evaluation",
    tenant: Tenant = None,
    kind: Kind = None,
    status: Status = None,
    system: Annotated[str | None, typer.Option(help="What the system says in each chat to train with.")] = None,
    good_answers: Annotated[bool, typer.Option(help="Train with well-rated answers too.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Write feedback as an evaluation set, or corrections as chats to train with, one JSON a line.

    Example:

        gatewright feedback export corrections.jsonl --as fine-tuning --tenant acme
    """
    from gatewright.errors import BadRequest

    if what not in _EXPORTS:
        raise BadRequest(f"as: expected evaluation or fine-tuning, got {what}", param="as")
    conditions: dict[str, Any] = {"feedback_type": kind, "status": status}
    if what == "fine-tuning":
        conditions |= {"system": system, "good_answers": good_answers}
    with open_gateway(config) as gateway:
        _write(gateway.feedback_loop, path, what, tenant, conditions)


_STATES = ("delivered", "pending", "dead")
_THEMES = (("correction", "common_corrections"), ("improvement", "common_improvements"), ("error", "error_patterns"))
_EXPORTS = ("evaluation", "fine-tuning")


def _write(loop: FeedbackLoop, path: Path, what: str, tenant: str | None, options: Any) -> None:
    fine_tuning = what == "fine-tuning"
    if str(path) == "-":
        lines = loop.fine_tuning_examples if fine_tuning else loop.evaluation_cases
        for line in lines(_scope(tenant), **options):
            print_json(line)
        return
    write = loop.export_fine_tuning if fine_tuning else loop.export_evaluation_set
    sys.stdout.write(f"{write(path, _scope(tenant), **options)}\n")


def _scope(tenant: str | None) -> Any:
    from gatewright.feedback import ALL_TENANTS

    return ALL_TENANTS if tenant is None else tenant


def _short(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= 60 else text[:59] + "…"
