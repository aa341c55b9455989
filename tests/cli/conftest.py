"""The command as a user has it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

KEEP = ("PATH", "HOME", "SYSTEMROOT", "VIRTUAL_ENV", "TMPDIR")

SIMULATED = """
model_list:
  - model_name: parrot
    litellm_params: {model: simulator/parrot, text: "A fine answer."}
    model_info: {input_cost_per_token: 0.000001, output_cost_per_token: 0.000002, max_input_tokens: 8000}
  - model_name: down
    litellm_params: {model: simulator/down, failure_rate: 1.0, errors: {rate_limited: 1}, retry_after: 90}
  - model_name: slow
    litellm_params: {model: simulator/slow, latency: 30}
default_model: parrot
default_embedding_model: parrot
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose providers are simulated."""
    path = tmp_path / "config.yaml"
    path.write_text(SIMULATED)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `gatewright` with arguments, stdin and nothing of this machine's environment but what is given."""

    def run(*arguments: object, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in KEEP if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "gatewright", *map(str, arguments)],
            input=stdin,
            env={**kept, "PYTHONWARNINGS": "error", "PYTHONUTF8": "1", "COLUMNS": "100", **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )

    return run
