"""The `gatewright` command. Its modules import nothing heavy: each command imports what it needs when it runs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the process's arguments, and end the process with its exit code."""
    from gatewright.cli.app import app

    # Whatever a file or a model says can be printed, in a terminal of whatever encoding.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app(prog_name="gatewright")
