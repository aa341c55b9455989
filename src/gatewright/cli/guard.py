"""`gatewright guard`: rule packs, looked at, checked and tried on cases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.exits import EPILOG, Debug, reported
from gatewright.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from gatewright.layers.validation.packs.cases import Counts, Mismatch, Trial
    from gatewright.layers.validation.packs.pack import RulePack

__all__ = ["guard"]

guard = typer.Typer(no_args_is_help=True)

Rules = Annotated[str, typer.Argument(help="A YAML file, or the name of a pack that comes with Gatewright.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON.")]


@guard.command("list", short_help="List the rule packs that come with Gatewright.", epilog=EPILOG)
@reported
def list_packs(as_json: Json = False, debug: Debug = False) -> None:
    """List the rule packs that come with Gatewright.

    Example:

        gatewright guard list
    """
    from gatewright.layers.validation.packs.loading import SHIPPED, shipped_pack

    packs = [shipped_pack(name) for name in SHIPPED]
    if as_json:
        print_json([_summary(pack) for pack in packs])
        return
    rows = [(pack.name, pack.version.split("+")[0], str(len(pack.rules)), pack.about) for pack in packs]
    print_table(("pack", "version", "rules", "about"), rows, numbers=(2,))


@guard.command("show", short_help="Print a pack's YAML, to be read and changed.", epilog=EPILOG)
@reported
def show(
    pack: Annotated[str, typer.Argument(help="The name of a pack that comes with Gatewright.")], debug: Debug = False
) -> None:
    """Print the YAML of a pack that comes with Gatewright, to be read, copied and changed.

    Example:

        gatewright guard show incident > incident.yaml
    """
    from gatewright.layers.validation.packs.loading import shipped_text

    sys.stdout.write(shipped_text(pack))


@guard.command("check", short_help="Check a rule pack, and list its rules.", epilog=EPILOG)
@reported
def check(rules: Rules, as_json: Json = False, debug: Debug = False) -> None:
    """Check a rule pack, and list its rules. Ends with 3 where it cannot be used, and says file, line and key.

    Example:

        gatewright guard check incident.yaml
    """
    from gatewright.layers.validation.packs.loading import load_pack

    pack = load_pack(rules)
    if as_json:
        print_json({**_summary(pack), "rules": pack.describe()})
        return
    rows = [(one["id"], one["severity"], one["action"] or "by level", one["text"]) for one in pack.describe()]
    print_table(("rule", "severity", "action", "demands"), rows)


@guard.command("test", short_help="Try a rule pack on cases, and print its confusion table.", epilog=EPILOG)
@reported
def test(
    rules: Rules,
    cases: Annotated[Path, typer.Argument(help="JSON lines: text or record, context, expect (rules), valid.")],
    level: Annotated[str, typer.Option(help="How strict the guardrail is: strict, moderate or lenient.")] = "moderate",
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 where any case comes out wrong.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="End with 1 where a rule's F1 is below this.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Try a rule pack on cases: for each rule, how often it was right, and each case that came out wrong.

    A case is a line such as {"text": "…", "expect": ["no-passwords"]} or {"record": {…}, "expect": [], "valid": true}.

    Example:

        gatewright guard test incident.yaml cases.jsonl --strict
    """
    import asyncio

    from gatewright.layers.validation.guardrail import Guardrail
    from gatewright.layers.validation.packs.cases import read_cases, tried
    from gatewright.layers.validation.packs.loading import load_pack

    pack = load_pack(rules)
    at = Guardrail(level=level).level
    trial = asyncio.run(tried(pack, read_cases(cases, pack), at))
    low = [] if threshold is None else [name for name, one in trial.counts.items() if _below(one, threshold)]
    failed = bool(low or (strict and trial.mismatches))
    if as_json:
        print_json(_plain(trial, pack, failed))
    else:
        _show(trial, pack, low, threshold)
    raise typer.Exit(1 if failed else 0)


def _summary(pack: RulePack) -> dict[str, Any]:
    return {"pack": pack.name, "version": pack.version, "about": pack.about, "applies_to": pack.applies_to}


def _below(counts: Counts, threshold: float) -> bool:
    """Whether a rule does worse; one that found nothing, and should not have, was not measured."""
    return counts.f1 is not None and counts.f1 < threshold


def _plain(trial: Trial, pack: RulePack, failed: bool) -> dict[str, Any]:
    return {
        **_summary(pack),
        "ok": not failed,
        "cases": trial.cases,
        "rules": {name: _figures(one) for name, one in trial.counts.items()},
        "total": _figures(trial.total),
        "mismatches": [
            {"case": one.case, "missed": one.missed, "unexpected": one.unexpected, "verdict": one.verdict or None}
            for one in trial.mismatches
        ],
    }


def _figures(counts: Counts) -> dict[str, float | None]:
    return {
        **{name: getattr(counts, name) for name in ("tp", "fp", "fn", "tn")},
        **{name: getattr(counts, name) for name in ("precision", "recall", "f1")},
    }


def _show(trial: Trial, pack: RulePack, low: list[str], threshold: float | None) -> None:
    short = {name: name.removeprefix(f"{pack.name}.") for name in trial.counts}
    measured = {name: one for name, one in trial.counts.items() if one.f1 is not None}
    titles = ("rule", "tp", "fp", "fn", "tn", "precision", "recall", "F1")
    rows = [_row(short[name], one) for name, one in measured.items()]
    print_table(titles, [*rows, _row("all", trial.total)], numbers=range(1, 8))
    untried = [short[name] for name in trial.counts if name not in measured]
    if untried:
        console().print(f"\n[bold yellow]No case for[/] {', '.join(untried)}")
    if trial.mismatches:
        console().print("\n[bold red]Not as expected[/]")
        for mismatch in trial.mismatches:
            console().print(_worded(mismatch))
    if low:
        console().print(f"\n[bold red]F1 below {threshold:g}[/] {', '.join(short[name] for name in low)}")
    wrong = len(trial.mismatches)
    verdict = f"[bold red]{wrong} not as expected[/]" if wrong else "[bold green]all as expected[/]"
    console().print(f"\n{pack.name} {pack.version}: {trial.cases} cases, {verdict}")


def _worded(mismatch: Mismatch) -> Any:
    from rich.text import Text

    told = [f"missed {', '.join(mismatch.missed)}"] if mismatch.missed else []
    told += [f"unexpected {', '.join(mismatch.unexpected)}"] if mismatch.unexpected else []
    told += [mismatch.verdict] if mismatch.verdict else []
    return Text.assemble(("• ", "red"), (mismatch.case, "bold"), ": ", "; ".join(told))


def _row(name: str, counts: Counts) -> tuple[str, ...]:
    parts = (counts.precision, counts.recall, counts.f1)
    figures = ("" if part is None else f"{part:.3f}" for part in parts)
    return (name, *(str(one) for one in (counts.tp, counts.fp, counts.fn, counts.tn)), *figures)
