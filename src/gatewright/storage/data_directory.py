"""The one directory in which a gateway keeps what is to outlive its process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gatewright.errors import ConfigurationError

__all__ = ["data_directory", "made_directory"]

VARIABLE = "GATEWRIGHT_DATA_DIR"


def data_directory(configured: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """Give the configured directory, else $GATEWRIGHT_DATA_DIR, else the user's own for data; it is not made yet."""
    environ = os.environ if environ is None else environ
    if configured is not None:
        return configured.expanduser().absolute()
    if named := environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_DATA_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "gatewright"
    except RuntimeError:  # a user without a home
        raise ConfigurationError(
            f"data_dir: this user has no home directory: name a directory, or set {VARIABLE}", param="data_dir"
        ) from None


def made_directory(directory: Path) -> Path:
    """Make a directory, for its owner only, unless it is there; `ConfigurationError` where that cannot be."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"data_dir: {directory} cannot be made ({error.strerror}): name one that can be written to "
            f"(data_dir or {VARIABLE}), or set record_operations to False",
            param="data_dir",
        ) from None
    return directory
