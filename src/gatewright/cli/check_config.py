"""`gatewright check-config`: what a configuration file means, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from gatewright.configuration.check import CheckedDeployment, ConfigReport

__all__ = ["check_config"]


@reported
def check_config(
    file: Annotated[Path, typer.Argument(help="A YAML file; a LiteLLM proxy's config.yaml is read as it is.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Say what a configuration file means: what is understood, ignored and unknown, and where each deployment leads.

    Nothing is sent anywhere, and no key is shown. Ends with 0 where a gateway can be made of it, with 1 where not
    (or, with --strict, where there are warnings).

    Example:

        gatewright check-config config.yaml
    """
    from gatewright.configuration.check import check_file

    report = check_file(file)
    failed = bool(report.errors or (strict and report.warnings))
    if as_json:
        print_json({**_plain(report), "ok": not failed})
    else:
        _show(report)
    raise typer.Exit(1 if failed else 0)


def _plain(report: ConfigReport) -> dict[str, object]:
    import msgspec

    plain = msgspec.to_builtins(report)
    plain["findings"] = [finding._asdict() for finding in report.findings]
    return plain


def _show(report: ConfigReport) -> None:
    for verdict, title in (("understood", "Understood"), ("ignored", "Ignored"), ("unknown", "Unknown")):
        rows = [
            (path, f"{note}: {report.settings[note]}" if note in report.settings else note)
            for path, note in _grouped((one.path, one.note) for one in report.findings if one.verdict == verdict)
        ]
        _part(title, ("key", "as" if verdict == "understood" else "why"), rows)
    titles = ("name", "asks", "lane", "where", "key", "$/M in", "$/M out")
    _part("Deployments", titles, [_deployment(one) for one in report.deployments], numbers=(5, 6))
    fallbacks = [(one.setting, _chain(one.models, one.missing)) for one in report.fallbacks]
    _part("Models named elsewhere", ("setting", "models"), fallbacks)
    _lines("Warnings", report.warnings, "yellow")
    _lines("Errors", report.errors, "red")
    _verdict(report)


def _deployment(one: CheckedDeployment) -> tuple[str, ...]:
    from gatewright.cli.models import per_million

    price = one.price
    costs = (price.input_cost_per_token * 1e6, price.output_cost_per_token * 1e6) if price else (None, None)
    unknown = "by model" if "*" in one.model else "unknown"
    shown = [per_million(cost) if price else unknown for cost in costs]
    asks = one.model if one.provider == "*" else f"{one.provider}/{one.model}"
    return (one.model_name, asks, one.lane, one.base_url or "", one.key, *shown)


def _grouped(findings: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put what holds for many entries of the model list into one line."""
    counts: dict[tuple[str, str], list[str]] = {}
    for path, note in findings:
        counts.setdefault((re.sub(r"\[\d+\]", "[*]", path), note), []).append(path)
    return [
        (paths[0] if len(paths) == 1 else f"{general} ({len(paths)} times)", note)
        for (general, note), paths in counts.items()
    ]


def _chain(models: Iterable[str], missing: Iterable[str]) -> str:
    without = set(missing)
    return " → ".join(f"{model} (there is none)" if model in without else model for model in models)


def _part(title: str, titles: tuple[str, ...], rows: list[tuple[str, ...]], *, numbers: Iterable[int] = ()) -> None:
    if rows:
        console().print(f"\n[bold cyan]{title}[/]")
        print_table(titles, rows, numbers=numbers)


def _lines(title: str, lines: Iterable[str], style: str) -> None:
    from rich.text import Text

    shown = list(lines)
    if shown:
        console().print(f"\n[bold {style}]{title}[/]")
    for line in shown:
        console().print(Text.assemble(("• ", style), line))


def _verdict(report: ConfigReport) -> None:
    from rich.text import Text

    counts = {"deployment": report.deployments, "warning": report.warnings, "error": report.errors}
    what = ", ".join(f"{len(those)} {name}{'' if len(those) == 1 else 's'}" for name, those in counts.items())
    told = ("cannot be used", "bold red") if report.errors else ("can be used", "bold green")
    console().print(Text.assemble("\n", (f"{report.file} ", "bold"), told, f": {what}"))
