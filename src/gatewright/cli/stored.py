"""What is recorded, read without making a gateway: options, times, and where it is."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.gateways import read_config
from gatewright.cli.output import complain

if TYPE_CHECKING:
    from gatewright.gateway import GatewayConfig
    from gatewright.llmops.records import Records
    from gatewright.llmops.reports import Reports

__all__ = [
    "AgentOption",
    "HoursOption",
    "SinceOption",
    "TenantOption",
    "hours_of",
    "opened",
    "records_of",
    "say_what_is_missing",
]

TenantOption = Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant's operations.")]
AgentOption = Annotated[str | None, typer.Option("--agent", help="Only this agent's operations.")]
HoursOption = Annotated[float | None, typer.Option("--hours", help="The last so many hours.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Since then: 30m, 12h, 7d, 2w ago, or 2026-11-01[T08:00].")
]

_AGO = re.compile(r"^(\d+(?:\.\d+)?)([mhdw])$")
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}


def hours_of(hours: float | None, since: str | None, usual: float) -> float:
    """Give how many hours back is asked for; wrong usage names the option."""
    if hours is not None and since is not None:
        raise typer.BadParameter("say it or --since, not both", param_hint="--hours")
    if hours is not None:
        if not 0 < hours < float("inf"):
            raise typer.BadParameter(f"expected a number above zero, got {hours:g}", param_hint="--hours")
        return hours
    return usual if since is None else _since(since)


def _since(text: str) -> float:
    if (ago := _AGO.match(text)) is not None and float(ago[1]) > 0:
        return float(ago[1]) * _HOURS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"expected 30m, 12h, 7d, 2w, or a date such as 2026-11-01 or 2026-11-01T08:00, got {text!r}",
            param_hint="--since",
        ) from None
    moment = moment if moment.tzinfo is not None else moment.astimezone()
    hours = (time.time() - moment.timestamp()) / 3600
    if hours <= 0:
        raise typer.BadParameter(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC is not over yet", param_hint="--since")
    return hours


def records_of(config: GatewayConfig) -> Records:
    """Give the records of a configuration; nothing is opened or made by that."""
    from gatewright.llmops.records import Records
    from gatewright.storage.data_directory import data_directory

    url = config.database_url
    directory = data_directory(config.data_dir)
    return Records.of(directory, None if url is None else url.get_secret_value(), config.records)


class Leftovers:
    """What processes that died left in their journals, and what one that lives has not drained yet."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def flush(self, seconds: float) -> bool:
        """Bring it to the store; another process that drains the journals does so within its interval."""
        records = self._records
        if records.flush(seconds):
            return True
        if records.writer.here or records.writer.failure is not None:
            return False
        time.sleep(min(seconds, records.config.interval + 0.2))
        return True


@contextlib.contextmanager
def opened(path: Path | None) -> Generator[Reports]:
    """Give the reports of a configuration's store; what a process that died left in its journal is brought there."""
    from gatewright.llmops.reports import Reports

    records = records_of(read_config(path))
    reports = Reports(records.where, records.config, backlog=Leftovers(records))
    try:
        yield reports
    finally:
        reports.close()
        records.release()


def say_what_is_missing(found: dict[str, Any]) -> None:
    """Say where a report may be wrong, or is about nothing."""
    if not found["complete"]:
        complain("warning", "some of what was recorded is not in the store yet; see whether a gateway is writing to it")
    if not found["total_operations"]:
        complain("note", f"nothing is recorded from {found['from']} on; --hours or --since looks further back")
    elif found["unpriced_operations"]:
        complain("note", f"the price of {found['unpriced_operations']:,} operations is not known; they count as 0")
