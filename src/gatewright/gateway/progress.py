"""A progress bar where someone is looking: stderr, if it is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(total: int, *, shown: bool) -> Generator[Callable[[], None]]:
    """Give a function that advances the bar by one; it does nothing where nobody would see it."""
    if not (shown and sys.stderr is not None and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("prompts", total=total)
        yield lambda: progress.advance(task)
