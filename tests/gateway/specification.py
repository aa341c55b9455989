"""The SDK's specification: its examples, as they are written there."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[3] / "shared" / "specification.md"


def example(heading: str) -> str:
    """Give the Python example under a heading; where the document is absent, skip, but never in CI."""
    if not DOCUMENT.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{DOCUMENT.name} is not there")
        pytest.skip(f"../shared/{DOCUMENT.name} is not there")
    found = re.search(rf"^### {heading}$.*?^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


async def run(code: str, names: dict[str, Any]) -> None:
    """Run an example, which may await at its top."""
    made: Any = eval(compile(code, "specification.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if made is not None:
        await made
