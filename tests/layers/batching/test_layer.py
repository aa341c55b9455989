"""The batching layer, over a handler that counts what it is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import BadRequest, ProviderUnavailable, RateLimited
from gatewright.layers.batching.config import BatchingConfig
from gatewright.layers.batching.layer import EmbeddingsBatchingLayer
from gatewright.layers.batching.shares import shares_of
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events
from gatewright.pipeline.layer import stack
from gatewright.pipeline.reply import Reply
from gatewright.types.caller import Caller
from gatewright.types.estimates import prompt_tokens
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import Answer, Choice, Embeddings
from gatewright.types.usage import Usage


class Upstream:
    """Gives each text the vector of its number; refuses what is bad."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.seconds = seconds
        self.error = error
        self.cancelled = 0

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        if isinstance(call.request, GenerateRequest):
            return Reply.whole(Answer(choices=[Choice(text="x")], model="m", provider="p"))
        inputs: list[Any] = list(call.embedding.inputs)
        self.asked.append(inputs)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        if "bad" in inputs:
            raise BadRequest("one of the inputs is bad")
        usage = Usage(prompt_tokens=len(inputs), total_tokens=len(inputs))
        vectors = [[float(text)] for text in inputs]
        return Reply.whole(
            Embeddings(vectors=vectors, model="m", provider="p", usage=usage, cost_usd=0.1 * len(inputs))
        )


def call(*texts: str, tenant: str | None = None, number: int = 0, **params: Any) -> Call:
    request = EmbedRequest(model="m", inputs=texts, params=params)
    return Call(request=request, id=f"req_{number}", started_at=0.0, caller=Caller(tenant_id=tenant))


def handler(upstream: Any, limit: int = 100, most_tokens: float | None = None) -> Any:
    layer = EmbeddingsBatchingLayer(BatchingConfig(), lambda _: limit, lambda _: most_tokens, Events())
    return stack([layer], upstream)


async def embed(handle: Any, made: Call) -> Embeddings:
    reply = await handle(made)
    async with reply:
        return await reply.value()


async def test_a_thousand_calls_at_once_are_ten_requests_and_each_gets_its_own() -> None:
    upstream = Upstream()
    handle = handler(upstream)
    answers = await asyncio.gather(*(embed(handle, call(str(number))) for number in range(1000)))
    assert [answer.vectors for answer in answers] == [[[float(number)]] for number in range(1000)]
    assert len(upstream.asked) == 10
    assert sum(answer.usage.total_tokens for answer in answers) == 1000
    assert sum(answer.cost_usd or 0 for answer in answers) == pytest.approx(100.0)


async def test_a_call_that_comes_alone_is_sent_at_once_as_it_is() -> None:
    upstream = Upstream()
    handle = handler(upstream)
    for number in range(3):
        await embed(handle, call(str(number)))
    assert upstream.asked == [["0"], ["1"], ["2"]]


async def test_those_who_come_while_one_is_under_way_go_together() -> None:
    upstream = Upstream(seconds=0.05)
    handle = handler(upstream)
    first = asyncio.create_task(embed(handle, call("0")))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(embed(handle, call(str(number)))) for number in (1, 2, 3)]
    await asyncio.gather(first, *others)
    assert upstream.asked == [["0"], ["1", "2", "3"]]


async def test_tenants_models_and_parameters_are_not_mixed() -> None:
    upstream = Upstream()
    handle = handler(upstream)
    await asyncio.gather(
        embed(handle, call("1", tenant="a")),
        embed(handle, call("2", tenant="b")),
        embed(handle, call("3", dimensions=8)),
    )
    assert sorted(upstream.asked) == [["1"], ["2"], ["3"]]


async def test_a_bad_input_fails_its_own_call_only() -> None:
    upstream = Upstream()
    handle = handler(upstream)
    made = [call("bad" if number == 5 else str(number), number=number) for number in range(16)]
    answers = await asyncio.gather(*(embed(handle, one) for one in made), return_exceptions=True)
    bad = [place for place, answer in enumerate(answers) if isinstance(answer, BadRequest)]
    assert bad == [5]
    assert [answer.vectors[0][0] for answer in answers if isinstance(answer, Embeddings)] == [
        float(number) for number in range(16) if number != 5
    ]
    assert len(upstream.asked) <= 2 * 4 + 1


async def test_any_other_failure_is_everyones_each_with_its_own_error() -> None:
    upstream = Upstream(error=ProviderUnavailable("down"))
    handle = handler(upstream)
    made = [call(str(number), number=number) for number in range(4)]
    errors = await asyncio.gather(*(embed(handle, one) for one in made), return_exceptions=True)
    assert [error.request_id for error in errors] == [one.id for one in made]  # type: ignore[union-attr]
    assert len(upstream.asked) == 1


async def test_a_caller_that_leaves_does_not_disturb_the_others_and_the_last_ends_the_request() -> None:
    upstream = Upstream(seconds=0.05)
    handle = handler(upstream)
    tasks = [asyncio.create_task(embed(handle, call(str(number)))) for number in range(3)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks[1:])
    assert [answer.vectors for answer in answers] == [[[1.0]], [[2.0]]]
    gone = [asyncio.create_task(embed(handle, call(str(number)))) for number in (7, 8)]
    await asyncio.sleep(0.01)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert upstream.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@given(
    lengths=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=8),
    tokens=st.integers(0, 10_000),
)
def test_shares_add_up(lengths: list[list[int]], tokens: int) -> None:
    requests = [EmbedRequest(model="m", inputs=["x" * length for length in one]) for one in lengths]
    vectors = [[float(number)] for number in range(sum(map(len, lengths)))]
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    shares = shares_of(Embeddings(vectors=vectors, model="m", provider="p", usage=usage, cost_usd=1.0), requests)
    assert [vector for share in shares for vector in share.vectors] == vectors
    assert [len(share.vectors) for share in shares] == [len(one) for one in lengths]
    assert sum(share.usage.prompt_tokens for share in shares) == tokens
    assert all(share.usage.prompt_tokens >= 0 for share in shares)


async def test_a_batch_has_no_more_tokens_than_a_deployments_limit_lets_through() -> None:
    upstream = Upstream()
    handle = handler(upstream, most_tokens=50)
    texts = [str(number) * 20 for number in range(1, 10)] * 4
    await asyncio.gather(*(embed(handle, call(text)) for text in texts))
    assert sum(map(len, upstream.asked)) == len(texts)
    counts = [prompt_tokens(EmbedRequest(model="m", inputs=inputs)) for inputs in upstream.asked]
    assert max(counts) <= 50
    assert len(upstream.asked) < len(texts)


async def test_where_a_limit_has_no_room_for_a_batch_it_may_have_some_for_one() -> None:
    room = 3

    class Limited(Upstream):
        async def __call__(self, call: Call, /) -> Reply[Any, Any]:
            nonlocal room
            if len(call.embedding.inputs) > room:
                error = RateLimited("no room", retry_after=1.0)
                error.asked = False
                raise error
            room -= len(call.embedding.inputs)
            return await super().__call__(call)

    handle = handler(Limited())
    made = [embed(handle, call(str(number), number=number)) for number in range(5)]
    done = await asyncio.gather(*made, return_exceptions=True)
    assert [isinstance(one, Embeddings) for one in done].count(True) == 3
    refused = [one for one in done if isinstance(one, RateLimited)]
    assert len(refused) == 2
