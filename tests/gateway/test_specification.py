"""The examples of the SDK's specification, as they are written there, against a local upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gateway.specification import example, run

from gatewright import create_gateway


@pytest.fixture
def names(upstream: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    names: dict[str, Any] = {}
    yield names
    if "gateway" in names:
        names["gateway"].close()


async def _in_order(names: dict[str, Any]) -> None:
    # The first example leaves `...` where a deployment's parameters go, and the keys.
    factory = example("Factory Functions").replace(", ...}", ', "litellm_params": {"model": "openai/gpt-4"}}')
    assert '"sk-..."' in factory
    await run(factory, names)
    convenience, streamed = example("High-Level Convenience Functions").split("# Stream text")
    # The blocking ones first, where no loop is home yet.
    await asyncio.to_thread(exec, convenience, names)
    # An echoing upstream is told how many chunks to stream.
    await run(streamed.replace("Tell me a story", "3"), names)
    await asyncio.to_thread(exec, example("Utility Functions"), names)


def test_the_second_of_two_identical_calls_is_given_the_firsts_answer(names: dict[str, Any], upstream: Any) -> None:
    async def in_order() -> None:
        names["gateway"] = create_gateway(["openai"], "gpt-4", {"openai": "sk-..."})
        await run(example("Request Batching and Deduplication"), names)
        await names["gateway"].aclose()

    asyncio.run(in_order())
    first, second = names["response1"], names["response2"]
    assert (second.text, second.cached, second.cost_usd) == (first.text, True, 0.0)
    assert (first.cached, len(upstream.requests)) == (False, 1)


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
