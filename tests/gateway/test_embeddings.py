"""Embeddings of any number of texts."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from gatewright.errors import AuthenticationFailed
from gatewright.pipeline.reply import Reply
from gatewright.types.results import Embeddings


@pytest.mark.parametrize("count", [1, 9, 10, 11, 95])
async def test_any_number_is_split_to_the_limit_and_put_together_in_order(
    gateway_of: Any, upstream: Any, count: int
) -> None:
    async with gateway_of(upstream, params={"model": "dashscope/e", "input_cost_per_token": 2.0}) as gateway:
        response = await gateway.embed_async(["x" * n for n in range(1, count + 1)])
    lengths = [vector[0] / vector[1] * 4 / 3 for vector in response.embeddings]
    assert lengths == pytest.approx(range(1, count + 1))
    assert all(math.hypot(*vector) == pytest.approx(1.0) for vector in response.embeddings)
    assert sum(upstream.batches) == count
    assert max(upstream.batches) <= 10
    assert len(upstream.batches) == math.ceil(count / 10)
    assert response.usage.prompt_tokens == count
    assert response.cost_usd == 2.0 * count
    assert (response.model, response.provider, response.dimensions) == ("e", "dashscope", 2)
    assert response.attempts == len(upstream.batches)


async def test_one_text_is_a_list_of_one(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        response = await gateway.embed_async("x")
    assert len(response.embeddings) == 1
    assert upstream.requests[0]["input"] == ["x"]


async def test_no_texts_are_no_call(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream) as gateway:
        response = await gateway.embed_async([])
    assert (list(response.embeddings), response.dimensions) == ([], 0)
    assert upstream.requests == []


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_both_encodings_of_the_wire(gateway_of: Any, upstream: Any, encoding: str) -> None:
    async with gateway_of(upstream) as gateway:
        response = await gateway.embed_async(["a"], encoding_format=encoding)
    assert upstream.encoding == encoding
    assert list(response.embeddings[0]) == pytest.approx([0.6, 0.8])


class Pieces:
    """Embeds, slowly; the piece that has `bad` fails once all others are under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.cancelled = 0
        self.wait = asyncio.Event()

    async def __call__(self, call: Any, /) -> Reply[Any, Any]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if "bad" in call.embedding.inputs:
                while self.under_way < 3:
                    await asyncio.sleep(0)
                raise AuthenticationFailed("no")
            await self.wait.wait()
            return Reply[Any, Any].whole(
                Embeddings(vectors=[[1.0] for _ in call.embedding.inputs], model="m", provider="own")
            )
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1

    async def aclose(self) -> None: ...


async def test_no_more_pieces_are_under_way_than_configured(gateway_of: Any, until_async: Any) -> None:
    provider = Pieces()
    async with gateway_of(provider, embed_concurrency=3) as gateway:
        gateway._assembly.lanes.embed_limit = lambda _: 1
        task = asyncio.create_task(gateway.embed_async(["x"] * 10))
        await until_async(lambda: provider.under_way == 3)
        await asyncio.sleep(0.01)
        provider.wait.set()
        assert len((await task).embeddings) == 10
    assert provider.most == 3


async def test_one_piece_that_fails_cancels_the_others(gateway_of: Any) -> None:
    provider = Pieces()
    async with gateway_of(provider, embed_concurrency=3) as gateway:
        gateway._assembly.lanes.embed_limit = lambda _: 1
        with pytest.raises(AuthenticationFailed):
            await gateway.embed_async(["x", "y", "bad", "z", "z"])
        assert provider.cancelled >= 2
        assert provider.under_way == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
