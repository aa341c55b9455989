"""What is shown: colours on a terminal only, whole lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["complain", "console", "on_terminal", "print_json", "print_table", "printable", "show_warnings"]

_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def on_terminal() -> bool:
    """Say whether someone looks at the output."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False) -> Console:
    """Give the console for stdout or stderr; it honours NO_COLOR and writes plain text where there is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


def printable(text: str) -> str:
    """Give a model's text without control characters where it goes to a terminal, which would obey them."""
    return text.translate(_CONTROLS) if on_terminal() else text


def complain(kind: str, message: str) -> None:
    """Write one line to stderr: `error: …` or `warning: …`."""
    from rich.text import Text

    style = "bold red" if kind == "error" else "yellow"
    console(stderr=True).print(Text.assemble((f"{kind}: ", style), " ".join(message.splitlines())))


def print_json(value: Any) -> None:
    """Write one line of JSON to stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> None:
    """Write a table: aligned on a terminal, else tab-separated for `cut` and the like, whatever its width."""
    if not on_terminal():
        for row in (titles, *rows):
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    right = frozenset(numbers)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table, soft_wrap=False)


class _Complaints(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        complain("error" if record.levelno >= logging.ERROR else "warning", record.getMessage())


def show_warnings(level: int = logging.WARNING) -> None:
    """Show the gateway's log as lines on stderr."""
    log = logging.getLogger("gatewright")
    log.handlers = [_Complaints()]
    log.setLevel(level)
    log.propagate = False
