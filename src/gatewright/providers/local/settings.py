"""What a deployment of a local model may set, read and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gatewright.errors import ConfigurationError
from gatewright.types.deployment import Deployment

__all__ = ["LocalSettings", "read_settings"]

T = TypeVar("T", int, float)


def _default_threads() -> int:
    # The cores that this process may use, which a container or taskset can have made fewer than the machine has.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a local model runs.

    `model_path` is a GGUF file for text; for embeddings a folder with `model.onnx` and `tokenizer.json`, or the ONNX
    file with `tokenizer.json` beside it. `context` is tokens for each of `slots` requests at once, prompt and answer
    together; `startup_timeout` is seconds.
    """

    model_path: Path | None = None
    threads: int = msgspec.field(default_factory=_default_threads)
    context: int = 4096
    slots: int = 2
    startup_timeout: float = 60.0


def read_settings(deployment: Deployment) -> LocalSettings:
    """Read `deployment.settings`; raise `ConfigurationError` naming the setting that is wrong."""
    given = deployment.settings
    where = f"settings of deployment {deployment.id!r}"
    unknown = sorted(given.keys() - set(LocalSettings.__struct_fields__))
    if unknown:
        known = ", ".join(LocalSettings.__struct_fields__)
        raise ConfigurationError(f"{where}: {unknown[0]!r} is not known here; known are {known}", param=unknown[0])
    defaults = LocalSettings()
    return LocalSettings(
        model_path=_path(given.get("model_path"), where),
        threads=_positive(given, "threads", defaults.threads, where),
        context=_positive(given, "context", defaults.context, where),
        slots=_positive(given, "slots", defaults.slots, where),
        startup_timeout=_positive(given, "startup_timeout", defaults.startup_timeout, where),
    )


def _path(value: Any, where: str) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str | Path) or not str(value):
        raise ConfigurationError(f"{where}: model_path is {value!r}; expected a path", param="model_path")
    return Path(value).expanduser().resolve()


def _positive(given: dict[str, Any], name: str, default: T, where: str) -> T:
    value = given.get(name)
    if value is None:
        return default
    expected = "a whole number" if isinstance(default, int) else "a number"
    fits = isinstance(value, int) or (isinstance(value, float) and isinstance(default, float))
    if isinstance(value, bool) or not fits or not 0 < value < 2**31:
        raise ConfigurationError(f"{where}: {name} is {value!r}; expected {expected} above zero", param=name)
    return type(default)(value)
