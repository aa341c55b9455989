"""Embeddings of any number of texts, in their order, at unit length."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import InvalidProviderResponse, RateLimited
from gatewright.layers.embeddings import EmbeddingsLayer, unit
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.testing import ScriptedProvider
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Embeddings
from gatewright.types.usage import Usage


class Provider:
    """Gives each text the vector of its number, later texts sooner; counts what is under way."""

    def __init__(self, fails_at: int | None = None, cost: float | None = 0.5) -> None:
        self.calls: list[list[Any]] = []
        self.under_way = self.most = self.cancelled = 0
        self._fails_at = fails_at
        self._cost = cost

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        inputs = list(call.embedding.inputs)
        self.calls.append(inputs)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0.02 / len(self.calls))
            if len(self.calls) == self._fails_at or str(self._fails_at) in inputs:
                raise RateLimited("slow down")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        vectors = [[1.0, float(one)] for one in inputs]
        usage = Usage(prompt_tokens=len(inputs), total_tokens=len(inputs))
        return Reply.whole(Embeddings(vectors=vectors, model="m", provider="p", usage=usage, cost_usd=self._cost))


def call(inputs: list[str]) -> Call:
    return Call(request=EmbedRequest(model="g", inputs=inputs), id="req_1", started_at=0.0)


async def embedded(provider: Provider, count: int, limit: int, concurrency: int = 3) -> Reply[Any, Embeddings]:
    layer = EmbeddingsLayer(lambda _: limit, concurrency)
    return await stack([layer], provider)(call([str(n) for n in range(count)]))


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 50])
async def test_any_number_comes_back_in_order(count: int):
    provider = Provider()
    reply = await embedded(provider, count, limit=7)
    whole = await reply.value()
    assert [round(vector[1] / vector[0]) for vector in whole.vectors] == list(range(count))
    assert max(map(len, provider.calls)) <= 7
    assert reply.attempts == len(provider.calls)
    assert whole.usage.total_tokens == count
    assert whole.cost_usd == 0.5 * len(provider.calls)


async def test_no_more_than_so_many_requests_at_once():
    provider = Provider()
    await embedded(provider, 30, limit=2, concurrency=3)
    assert provider.most == 3


async def test_a_cost_that_one_part_does_not_know_is_not_known():
    assert (await (await embedded(Provider(cost=None), 9, limit=2)).value()).cost_usd is None


async def test_the_first_failure_cancels_the_others():
    provider = Provider(fails_at=3)
    with pytest.raises(RateLimited):
        await embedded(provider, 100, limit=1)
    assert provider.under_way == 0
    assert len(provider.calls) < 20


async def test_a_cancelled_call_cancels_its_parts():
    provider = Provider()
    task = asyncio.create_task(embedded(provider, 9, limit=1))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert provider.under_way == 0
    assert provider.cancelled > 0


async def test_it_is_not_in_the_way_of_other_calls():
    scripted = ScriptedProvider(["x"])
    asked = Call(request=GenerateRequest(model="g"), id="req_1", started_at=0.0)
    await stack([EmbeddingsLayer(lambda _: 1, 1)], scripted, GenerateRequest)(asked)
    assert scripted.calls == [asked]


async def test_for_one_text_the_limits_of_all_deployments_are_not_looked_at():
    def limit_of(_: str) -> int:
        raise AssertionError("one text needs no limit")

    reply = await stack([EmbeddingsLayer(limit_of, 1)], Provider())(call(["1"]))
    assert len((await reply.value()).vectors) == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_vector_has_unit_length_afterwards_and_its_direction(vector: list[float]):
    length = math.hypot(*vector)
    found = unit(vector)
    if length > 1e-100:
        assert math.isclose(math.hypot(*found), 1.0, rel_tol=1e-5)
        assert all(math.isclose(a * length, b, rel_tol=1e-5, abs_tol=1e-9) for a, b in zip(found, vector, strict=True))


def test_zeros_stay_zeros():
    assert unit([0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
async def test_what_is_no_number_is_an_invalid_answer_that_says_whose(wrong: float):
    scripted = ScriptedProvider([Embeddings(vectors=[[wrong, 1.0]], model="m", provider="p")])
    with pytest.raises(InvalidProviderResponse) as caught:
        await stack([EmbeddingsLayer(lambda _: 1, 1)], scripted)(call(["1"]))
    assert (caught.value.provider, caught.value.model, caught.value.request_id) == ("p", "m", "req_1")


@pytest.mark.parametrize(("inputs", "given"), [(1, 0), (3, 2), (3, 4), (8, 2)])
async def test_vectors_that_are_not_one_for_each_input_are_an_invalid_answer(inputs: int, given: int):
    vectors = Embeddings(vectors=[[1.0, 0.0]] * given, model="m", provider="p", usage=Usage())

    async def provider(call: Call, /) -> Reply[Any, Any]:
        return Reply.whole(vectors)

    handle = stack([EmbeddingsLayer(lambda _: 4, 2)], provider)
    request = EmbedRequest(model="m", inputs=[str(number) for number in range(inputs)])
    with pytest.raises(InvalidProviderResponse, match=f"{given} vectors for {min(inputs, 4)} inputs") as raised:
        await handle(Call(request=request, id="c", started_at=0.0))
    assert (raised.value.provider, raised.value.request_id) == ("p", "c")
