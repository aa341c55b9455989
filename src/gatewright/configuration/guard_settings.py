"""The guards of a configuration file: they are made when it is read, and a fault is told by file, line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from gatewright.errors import ConfigurationError
from gatewright.types.written import read_file

if TYPE_CHECKING:
    from gatewright.configuration.config import GatewayConfig

__all__ = ["check_guards", "with_guards"]

C = TypeVar("C")
_PART = "validation"


def with_guards(path: Path, read: Callable[[], C]) -> C:
    """Give the configuration that `read()` makes of the file, once its guards are known to be right."""
    try:
        config = read()
    except ConfigurationError as error:
        if f"{_PART}." in error.message:
            _read_part(path)
        raise
    check_guards(path, cast("GatewayConfig", config))
    return config


def check_guards(path: Path, config: GatewayConfig) -> None:
    """Make the guardrails of a file's `validation`, if it has one; a rule that cannot be made is an error."""
    if config.validation is None:
        return
    from gatewright.layers.validation.building import guardrails_of

    try:
        guardrails_of(config.validation, config.validation_level)
    except ConfigurationError as error:
        if not error.message.startswith(f"{_PART}."):
            raise  # it is in a file of its own, which it names
        raise read_file(path).placed(error) from None


def _read_part(path: Path) -> None:
    """Read that part alone: its faults are told at their lines."""
    from gatewright.layers.validation.config import ValidationConfig

    part = read_file(path).mapping().get(_PART)
    if part is not None:
        part.read(ValidationConfig)
