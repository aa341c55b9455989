"""The processes that a benchmark starts: where, and with which environment."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "allow_many_files", "environment", "start"]

ROOT = Path(__file__).resolve().parents[1]
# Settings of the machine's user would change what is measured.
_DROPPED = ("GATEWRIGHT_", "OPENAI_", "LITELLM_", "PYTHON")


def environment() -> dict[str, str]:
    """Give an environment without proxies, keys, settings and Python's own switches; litellm may fetch nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED) and not name.lower().endswith(("_proxy", "_api_key"))
    }
    data = os.environ.get("GATEWRIGHT_DATA_DIR")
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **({} if data is None else {"GATEWRIGHT_DATA_DIR": data})}


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start this Python with `arguments`; its input and output are text pipes."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def allow_many_files() -> None:
    """Raise this process's limit of open files as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
