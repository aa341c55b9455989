"""Every Python example of the README and of docs/ runs as written, against an upstream that knows the models."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewright.configuration.yaml_file import read_yaml
from gatewright.layers.validation.packs import read_pack

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[Any]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        pytest.param(match[2], id=f"{page.name}-{number}")
        for page in pages
        for number, match in enumerate(BLOCK.finditer(page.read_text()))
        if match[1] == language
    ]


@pytest.mark.parametrize("source", blocks("python"))
def test_a_python_example_runs(source: str, tmp_path: Path, openai_upstream: dict[str, str]) -> None:
    """As a program of its own, so that it also ends well: no traceback, nothing on stderr."""
    script = tmp_path / "example.py"
    script.write_text(source)
    done = subprocess.run(
        [sys.executable, str(script)], env=openai_upstream, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("source", blocks("yaml"))
def test_a_yaml_example_is_understood(source: str, tmp_path: Path) -> None:
    """As a configuration file, or as the rule pack that it begins."""
    if source.startswith("pack:"):
        assert read_pack(source, "pack.yaml").rules
        return
    path = tmp_path / "config.yaml"
    path.write_text(source)
    findings = read_yaml(path).findings
    assert findings
    assert {finding.verdict for finding in findings} == {"understood"}
