"""The examples of the SDK's specification, as they are written there, against a local upstream."""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[3] / "shared" / "specification.md"
# By their headings: what this part of the SDK is.
HEADINGS = ["Factory Functions", "High-Level Convenience Functions", "Utility Functions"]


def _example(heading: str) -> str:
    found = re.search(rf"^### {heading}$.*?^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


@pytest.fixture
def names(upstream: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    if not DOCUMENT.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{DOCUMENT.name} is not there")
        pytest.skip(f"../shared/{DOCUMENT.name} is not there")
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    names: dict[str, Any] = {}
    yield names
    if "gateway" in names:
        names["gateway"].close()


async def _run(code: str, names: dict[str, Any]) -> None:
    """Run an example, which may await at its top."""
    made: Any = eval(compile(code, "specification.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if made is not None:
        await made


async def _in_order(names: dict[str, Any]) -> None:
    # The first example leaves `...` where a deployment's parameters go, and the keys.
    factory = _example(HEADINGS[0]).replace(", ...}", ', "litellm_params": {"model": "openai/gpt-4"}}')
    assert '"sk-..."' in factory
    await _run(factory, names)
    convenience, streamed = _example(HEADINGS[1]).split("# Stream text")
    # The blocking ones first, where no loop is home yet.
    await asyncio.to_thread(exec, convenience, names)
    # An echoing upstream is told how many chunks to stream.
    await _run(streamed.replace("Tell me a story", "3"), names)
    await asyncio.to_thread(exec, _example(HEADINGS[2]), names)


def test_the_examples_run_as_they_are_written(
    names: dict[str, Any], upstream: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_in_order(names))
    assert names["config"].timeout == 120.0
    assert names["config"].model_list[0].model_name == "gpt-4"
    assert names["text"] == "What is AI?"
    assert [len(vector) for vector in names["embeddings"]] == [2, 2]
    assert capsys.readouterr().out == "0 1 2 "
    assert names["texts"] == ["What is AI?", "What is ML?"]
    assert {request["model"] for request in upstream.requests} == {"gpt-4", "text-embedding-3-small"}
