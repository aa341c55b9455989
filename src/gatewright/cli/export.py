"""`gatewright export`: what was recorded, as a file."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, read_config
from gatewright.cli.output import complain
from gatewright.cli.stored import AgentOption, HoursOption, Leftovers, SinceOption, TenantOption, hours_of, records_of

if TYPE_CHECKING:
    from gatewright.storage.sql.operation_rows import Chosen
    from gatewright.storage.sql.reading import Snapshot

__all__ = ["export"]

EVER = float("inf")
_Advance = Callable[[int], None]
Format = Literal["parquet", "csv", "jsonl"]
Kind = Literal["completion", "chat", "embedding", "streaming", "function_calling"]
Status = Literal["success", "error", "timeout", "rate_limited", "cancelled"]


@reported
def export(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The file to write; stdout without it.")
    ] = None,
    kind: Annotated[Format | None, typer.Option("--format", "-f", help="Without it: by the file's name.")] = None,
    tenant: TenantOption = None,
    agent: AgentOption = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model's operations.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Only this provider's operations.")] = None,
    operation_type: Annotated[Kind | None, typer.Option("--type", help="Only operations of this type.")] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only operations that ended so.")] = None,
    hours: HoursOption = None,
    since: SinceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Write every operation that was recorded: one row each, costs as exact decimals, oldest first.

    Prompts and answers are not in it. Parquet needs the extra `gatewright[export]`.

    Examples:

        gatewright export --out october.parquet --since 2026-10-01

        gatewright export --tenant acme --status error --format jsonl | head
    """
    from gatewright.llmops.export import suffix_format
    from gatewright.storage.sql.operation_rows import Chosen

    asked = hours_of(hours, since, EVER)
    chosen_kind = kind or (suffix_format(out.name) if out is not None else "jsonl")
    if chosen_kind is None:
        raise typer.BadParameter("the name ends in none of .parquet .csv .jsonl; say --format", param_hint="--out")
    if out is None and chosen_kind == "parquet":
        raise typer.BadParameter("a Parquet file is not for stdout; name one with --out", param_hint="--format")
    if out is not None and out.exists() and not force:
        raise typer.BadParameter(f"{out} is there already; --force writes over it", param_hint="--out")
    start = 0 if asked == EVER else int(time.time() - asked * 3600)
    chosen = Chosen(start, tenant, agent, model, provider, operation_type, status)
    with _snapshot(config) as snapshot, _opened(out) as file:
        count = _written(snapshot, chosen, chosen_kind, file)
    if not count:
        complain("note", "no operation is like that")
    elif out is not None:
        complain("note", f"{count:,} operations in {out}")


@contextlib.contextmanager
def _snapshot(config: Path | None) -> Generator[Snapshot | None]:
    """Give one state of the store, with what a process that died left in its journal."""
    from gatewright.storage.sql.reading import RecordReader

    records = records_of(read_config(config))
    reader = RecordReader(records.where)
    try:
        if not Leftovers(records).flush(5.0):
            complain("warning", "some of what was recorded is not in the store yet")
        with reader.snapshot() as snapshot:
            yield snapshot
    finally:
        reader.close()
        records.release()


def _written(snapshot: Snapshot | None, chosen: Chosen, kind: str, file: BinaryIO) -> int:
    from gatewright.llmops.export import batches, sink_of
    from gatewright.storage.sql.operation_rows import operations

    sink = sink_of(kind, file)
    count = 0
    if snapshot is not None:
        with _progress(snapshot, chosen) as advance:
            for some in batches(operations(snapshot, chosen)):
                sink.write(some)
                count += len(some)
                advance(len(some))
    sink.close()
    return count


@contextlib.contextmanager
def _progress(snapshot: Snapshot, chosen: Chosen) -> Generator[_Advance]:
    """Show how far it is where somebody looks at stderr."""
    from gatewright.storage.sql.operation_rows import count_of

    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from gatewright.cli.output import console

    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("exporting", total=count_of(snapshot, chosen))
        yield lambda more: progress.advance(task, more)


@contextlib.contextmanager
def _opened(out: Path | None) -> Generator[BinaryIO]:
    """Give the file to write to; one that is named is there only once it is whole."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
