"""Identical calls of one tenant are one upstream request, through the whole gateway."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright import batch_generate, batch_generate_async
from gatewright.errors import (
    BadRequest,
    ConnectionFailed,
    DeadlineExceeded,
    GatewayError,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from gatewright.layers.rate_limiter import RateLimitConfig
from gatewright.pipeline.events import CallSettled, CallShared
from gatewright.testing import ScriptedProvider
from gatewright.types.results import Answer, Choice
from gatewright.types.usage import Usage

ON = {"deduplication": {"enabled": True, "window": 30}}
USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
DEAR = Answer(choices=[Choice(text="dear")], model="m", provider="own", usage=USAGE, cost_usd=0.5)


async def read(stream: Any) -> str:
    return "".join([text async for text in stream])


async def test_the_second_of_two_is_given_the_firsts_answer(gateway_of: Any) -> None:
    provider = ScriptedProvider([DEAR])
    async with gateway_of(provider, **ON) as gateway:
        first = await gateway.generate_async("What is AI?", tenant_id="t")
        second = await gateway.generate_async("What is AI?", tenant_id="t")
    assert (first.cached, first.cost_usd, first.attempts) == (False, 0.5, 1)
    assert (second.cached, second.cost_usd, second.text) == (True, 0.0, "dear")
    assert second.request_id != first.request_id
    assert len(provider.calls) == 1


async def test_a_thousand_at_once_are_one_upstream_request(gateway_of: Any, upstream: Any, hear: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        heard = hear(gateway)
        answers = await asyncio.gather(*(gateway.generate_async("same") for _ in range(1_000)))
    assert len(upstream.requests) == 1
    assert {answer.text for answer in answers} == {"same"}
    assert sum(not answer.cached for answer in answers) == 1
    assert len({answer.request_id for answer in answers}) == 1_000
    assert len(heard.of(CallShared)) == 999
    assert len(heard.of(CallSettled)) == 1_000


def test_blocking_calls_of_many_threads_are_one_upstream_request(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **ON) as gateway, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: gateway.generate("same"), range(64)))
    assert len(upstream.requests) == 1
    assert sum(not answer.cached for answer in answers) == 1


async def test_tenants_share_nothing(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        for tenant in ("a", "b", None):
            assert not (await gateway.generate_async("same", tenant_id=tenant)).cached
    assert len(upstream.requests) == 3


async def test_what_differs_is_asked_for_itself(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        for params in ({}, {"temperature": 0.1}, {"max_tokens": 5}, {"seed": 1}, {"n": 1}):
            await gateway.generate_async("same", **params)
    assert len(upstream.requests) == 5


@pytest.mark.parametrize(
    "others",
    [{"timeout": 5}, {"session": "s"}, {"tags": ["t"]}, {"key_id": "k"}, {"agent_id": "a"}],
    ids=lambda others: next(iter(others)),
)
async def test_what_is_not_sent_to_the_provider_does_not_count(
    gateway_of: Any, upstream: Any, others: dict[str, Any]
) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        await gateway.generate_async("same")
        assert (await gateway.generate_async("same", **others)).cached
        first, second = gateway.generate_stream("5"), gateway.generate_stream("5", **others)
        await asyncio.gather(read(first), read(second))
    assert len(upstream.requests) == 2


async def test_nobody_waits_for_the_limit_of_anothers_key(gateway_of: Any, upstream: Any) -> None:
    limits = {"slow": RateLimitConfig(requests_per_minute=1, burst_size=1)}
    async with gateway_of(upstream, key_rate_limits=limits, **ON) as gateway:
        await gateway.generate_async("first", key_id="slow")
        waiting = asyncio.create_task(gateway.generate_async("same", key_id="slow"))
        await asyncio.sleep(0.05)
        answer = await asyncio.wait_for(gateway.generate_async("same", key_id="other"), 5)
        assert not answer.cached
        waiting.cancel()


async def test_who_joins_has_its_own_time_at_a_limit(gateway_of: Any, upstream: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=60, burst_size=1, queue_timeout=0.8)
    async with gateway_of(upstream, rate_limit=limit, **ON) as gateway:
        await gateway.generate_async("first")
        leading = asyncio.create_task(gateway.generate_async("same"))
        await asyncio.sleep(0.5)
        joined = [asyncio.create_task(gateway.generate_async("same")) for _ in range(3)]
        with pytest.raises(RateLimited):
            await leading
        assert {(await one).text for one in joined} == {"same"}
    assert len(upstream.requests) == 2


async def test_each_reader_of_a_stream_that_breaks_has_an_error_of_its_own(gateway_of: Any) -> None:
    provider = ScriptedProvider([["a", "b", ConnectionFailed("cut")]])
    async with gateway_of(provider, **ON) as gateway:
        streams = [gateway.generate_stream("same") for _ in range(3)]
        errors: Any = await asyncio.gather(*map(read, streams), return_exceptions=True)
    assert len({id(error) for error in errors}) == 3
    assert [error.request_id for error in errors] == [stream.request_id for stream in streams]


@pytest.mark.parametrize("variety", [{"n": 2}, {"temperature": 1.5}, {"extra_body": {"temperature": 2}}])
async def test_who_wants_variety_gets_it(gateway_of: Any, upstream: Any, variety: dict[str, Any]) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        for _ in range(2):
            assert not (await gateway.generate_async("same", **variety)).cached
    assert len(upstream.requests) == 2


async def test_a_call_can_say_that_it_is_not_to_be_merged(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        for _ in range(2):
            assert not (await gateway.generate_async("same", deduplicate=False)).cached
    assert len(upstream.requests) == 2


async def test_a_call_for_variety_can_say_that_it_is_to_be_merged(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        for _ in range(2):
            await gateway.generate_async("same", temperature=1.5, deduplicate=True)
    assert len(upstream.requests) == 1


async def test_the_switch_is_a_truth_value(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        with pytest.raises(BadRequest, match="deduplicate"):
            await gateway.generate_async("same", deduplicate="no")


async def test_streams_are_shared(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        streams = [gateway.generate_stream("50") for _ in range(20)]
        texts = await asyncio.gather(*map(read, streams))
        late = gateway.generate_stream("50")
        texts.append(await read(late))
    assert set(texts) == {"".join(f"{place} " for place in range(50))}
    assert len(upstream.requests) == 1
    assert [stream.response.cached for stream in streams].count(False) == 1
    assert (late.response.cached, late.response.cost_usd) == (True, 0.0)
    assert late.usage.total_tokens == 53


def test_blocking_streams_are_shared(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **ON) as gateway, ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda _: "".join(gateway.generate_stream("50")), range(8)))
    assert len(set(texts)) == 1
    assert len(upstream.requests) == 1


async def test_a_late_reader_gets_what_has_come_and_then_the_rest(gateway_of: Any, patient: Any) -> None:
    patient.chunks = 5
    async with gateway_of(patient, **ON) as gateway:
        first, late = gateway.generate_stream("x"), gateway.generate_stream("x")
        assert await anext(aiter(first)) == "0 "
        reader = aiter(late)
        assert await anext(reader) == "0 "
        patient.release.set()
        assert [text async for text in reader] == ["1 ", "2 ", "3 ", "4 "]
        assert await read(first) == "1 2 3 4 "
    assert patient.started == 1


async def test_the_leaders_leaving_hands_the_stream_over(gateway_of: Any, patient: Any) -> None:
    async with gateway_of(patient, **ON) as gateway:
        first, follower = gateway.generate_stream("x"), gateway.generate_stream("x")
        assert await anext(aiter(first)) == "0 "
        reader = aiter(follower)
        assert await anext(reader) == "0 "
        await first.aclose()
        patient.release.set()
        assert [text async for text in reader] == ["1 ", "2 "]
    assert (patient.started, patient.cancelled) == (1, 0)


async def test_the_leaders_cancelling_does_not_fail_the_followers(
    gateway_of: Any, patient: Any, until_async: Any
) -> None:
    async with gateway_of(patient, **ON) as gateway:
        calls = [asyncio.create_task(gateway.generate_async("x")) for _ in range(3)]
        await until_async(lambda: patient.started == 1)
        calls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        patient.release.set()
        answers = await asyncio.gather(*calls[1:])
    assert [answer.text for answer in answers] == ["x", "x"]
    assert [answer.cached for answer in answers] == [False, True]
    assert patient.started == 1


async def test_the_last_ones_leaving_ends_the_upstream_request(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, **ON) as gateway:
        calls = [asyncio.create_task(gateway.generate_async("x")) for _ in range(3)]
        await until_async(lambda: patient.started == 1)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until_async(lambda: patient.cancelled == 1)


async def test_a_follower_outlasts_the_leaders_deadline(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, **ON) as gateway:
        leader = asyncio.create_task(gateway.generate_async("x", timeout=0.1))
        await until_async(lambda: patient.started == 1)
        follower = asyncio.create_task(gateway.generate_async("x", timeout=20))
        with pytest.raises(GatewayError):
            await leader
        patient.release.set()
        assert (await follower).text == "x"


async def test_a_failure_is_shared_and_not_remembered(gateway_of: Any) -> None:
    provider = ScriptedProvider([ProviderUnavailable("down"), "back"], delay=0.02)
    async with gateway_of(provider, **ON) as gateway:
        got = await asyncio.gather(*(gateway.generate_async("x") for _ in range(5)), return_exceptions=True)
        assert {type(one) for one in got} == {ProviderUnavailable}
        assert len({one.request_id for one in got}) == 5  # type: ignore[union-attr]
        assert (await gateway.generate_async("x")).text == "back"
    assert len(provider.calls) == 2


async def test_a_stream_that_breaks_breaks_for_everyone_aboard(gateway_of: Any) -> None:
    provider = ScriptedProvider([["a", "b", ProviderUnavailable("gone")], ["whole"]])
    async with gateway_of(provider, **ON) as gateway:
        readings = [read(gateway.generate_stream("x")) for _ in range(3)]
        got = await asyncio.gather(*readings, return_exceptions=True)
        assert {type(one) for one in got} == {StreamInterrupted}
        assert {one.text for one in got} == {"ab"}  # type: ignore[union-attr]
        assert await read(gateway.generate_stream("x")) == "whole"


async def test_embeddings_are_shared_and_each_has_its_own_list(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        first = await gateway.embed_async(["a", "b"])
        first.embeddings.clear()
        second = await gateway.embed_async(["a", "b"])
    assert len(second.embeddings) == 2
    assert second.cached
    assert len(upstream.requests) == 1


async def test_what_one_does_to_its_answer_no_other_sees(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([DEAR]), **ON) as gateway:
        first = await gateway.generate_async("x")
        first.choices.clear()
        assert (await gateway.generate_async("x")).text == "dear"


async def test_those_who_share_are_charged_nothing(gateway_of: Any, upstream: Any, limit_of: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=0.001, burst_size=10, tokens_per_minute=0.001, burst_tokens=1000)
    async with gateway_of(upstream, rate_limit=limit, **ON) as gateway:
        await asyncio.gather(*(gateway.generate_async("same") for _ in range(100)))
        left = limit_of(gateway, "global:")
    assert left.requests == pytest.approx(9, abs=0.1)
    assert left.tokens == pytest.approx(995, abs=0.1)


async def test_a_batch_is_merged_within_itself(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        texts = await batch_generate_async(gateway, ["a", "b", "a", "c"] * 25, progress=False)
    assert texts == ["a", "b", "a", "c"] * 25
    assert len(upstream.requests) == 3


def test_a_blocking_batch_is_merged_within_itself(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **ON) as gateway:
        assert batch_generate(gateway, ["a", "a", "b"] * 10, progress=False) == ["a", "a", "b"] * 10
    assert len(upstream.requests) == 2


async def test_a_batch_runs_at_the_concurrency_of_the_limits(gateway_of: Any, patient: Any, until_async: Any) -> None:
    limit = RateLimitConfig(max_concurrent=3)
    async with gateway_of(patient, rate_limit=limit, **ON) as gateway:
        batch = asyncio.create_task(
            batch_generate_async(gateway, [f"{n}" for n in range(20)], max_concurrent=10, progress=False)
        )
        await until_async(lambda: patient.started == 3 and gateway.queue_status().length == 7)
        patient.release.set()
        assert await batch == [f"{n}" for n in range(20)]
    assert patient.most == 3


@pytest.mark.parametrize(
    ("settings", "params", "bound"),
    [
        ({}, {}, 8),
        ({"rate_limit": {"max_concurrent": 20}}, {}, 20),
        ({"tenant_rate_limits": {"acme": {"max_concurrent": 12}}, "rate_limit": {"max_concurrent": 20}}, {}, 12),
        ({"rate_limit": {"max_concurrent": 20}}, {"max_concurrent": 3}, 3),
        ({"params": {"max_parallel_requests": 5}}, {}, 5),
    ],
)
async def test_a_batch_has_as_many_under_way_as_the_limits_let_through(
    gateway_of: Any, patient: Any, until_async: Any, settings: Any, params: Any, bound: int
) -> None:
    prompts = [f"{n}" for n in range(40)]
    async with gateway_of(patient, **settings) as gateway:
        batch = asyncio.create_task(batch_generate_async(gateway, prompts, progress=False, tenant_id="acme", **params))
        await until_async(lambda: patient.under_way == bound)
        await asyncio.sleep(0.02)
        patient.release.set()
        assert await batch == prompts
    assert patient.most == bound


async def test_a_batch_waits_for_its_limits_longer_than_the_queue_does(gateway_of: Any, upstream: Any) -> None:
    slow = RateLimitConfig(requests_per_minute=1200, burst_size=1, queue_timeout=0.12, max_queue_size=2)
    refusing = slow.model_copy(update={"enable_queuing": False})
    for limit in (slow, refusing):
        async with gateway_of(upstream, rate_limit=limit) as gateway:
            prompts = [f"{n}" for n in range(12)]
            assert await batch_generate_async(gateway, prompts, progress=False) == prompts
            others = [f"other {n}" for n in range(12)]
            results = await batch_generate_async(gateway, others, progress=False, timeout=0.2, on_error="return")
            refused = [one for one in results if isinstance(one, GatewayError)]
            assert 0 < len(refused) < 12


async def test_a_batch_that_has_no_time_for_its_limits_says_so(gateway_of: Any, upstream: Any) -> None:
    limit = RateLimitConfig(requests_per_minute=1200, burst_size=1, queue_timeout=0.03)
    async with gateway_of(upstream, rate_limit=limit) as gateway:
        prompts = [f"{number}" for number in range(12)]
        answers = await batch_generate_async(
            gateway, prompts, max_concurrent=12, on_error="return", timeout=0.2, progress=False
        )
    assert {type(answer) for answer in answers} <= {str, RateLimited, DeadlineExceeded}
    assert any(isinstance(answer, str) for answer in answers)
    assert any(isinstance(answer, RateLimited) for answer in answers)


async def test_a_batch_that_waited_for_its_limits_names_the_time_that_it_was_given(
    gateway_of: Any, patient: Any
) -> None:
    limit = RateLimitConfig(requests_per_minute=600, burst_size=1, enable_queuing=False)
    async with gateway_of(patient, rate_limit=limit) as gateway:
        results = await batch_generate_async(gateway, ["a", "b"], progress=False, timeout=1, on_error="return")
        patient.release.set()
    assert [type(one) for one in results] == [DeadlineExceeded] * 2
    assert all("within its 1 s" in str(one) for one in results)


async def test_identical_prompts_of_a_batch_are_asked_once_however_far_apart(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, deduplication={"enabled": True, "window": 0}) as gateway:
        prompts = ["same", *(f"{n}" for n in range(20)), "same", [{"role": "user", "content": "same"}] * 1]
        texts = await batch_generate_async(gateway, prompts, progress=False, max_concurrent=1)
        assert texts[0] == texts[21] == texts[22] == "same"
        assert len(upstream.requests) == 22
        await batch_generate_async(gateway, ["x"] * 3, progress=False, deduplicate=False)
        assert len(upstream.requests) == 25
        await batch_generate_async(gateway, ["y"] * 3, progress=False, temperature=1.5)
        assert len(upstream.requests) == 28


async def test_a_batch_for_a_model_that_there_is_not(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        results = await batch_generate_async(gateway, ["a", "a"], model="none", on_error="return", progress=False)
    assert [type(one).__name__ for one in results] == ["NotFound", "NotFound"]


async def test_closing_ends_what_is_shared(gateway_of: Any, patient: Any, until_async: Any) -> None:
    gateway = gateway_of(patient, **ON, close_timeout=0)
    calls = [asyncio.create_task(gateway.generate_async("x")) for _ in range(3)]
    await until_async(lambda: patient.started == 1)
    await gateway.aclose()
    got = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one).__name__ for one in got} == {"GatewayClosed"}
    assert (patient.under_way, patient.cancelled) == (0, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2)])
async def test_all_who_share_may_be_cancelled_at_once(
    gateway_of: Any, patient: Any, until_async: Any, order: tuple[int, ...]
) -> None:
    async with gateway_of(patient, **ON) as gateway:
        calls = [asyncio.create_task(gateway.generate_async("x")) for _ in range(3)]
        await until_async(lambda: patient.started == 1)
        for place in order:
            calls[place].cancel()
        await asyncio.wait(calls)
        assert (patient.under_way, patient.cancelled) == (0, 1)


def test_an_answer_outlives_the_loop_on_which_it_came(gateway_of: Any, upstream: Any) -> None:
    gateway = gateway_of(upstream, **ON)
    for _ in range(2):
        assert asyncio.run(gateway.generate_async("same")).text == "same"
    assert gateway.generate("same").text == "same"
    gateway.close()
    assert len(upstream.requests) <= 3


async def test_what_one_does_to_its_vectors_is_not_seen_by_the_others(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, deduplication={"window": 5}) as gateway:
        one, two = await asyncio.gather(gateway.embed_async("abc"), gateway.embed_async("abc"))
        as_it_was = list(two.embeddings[0])
        one.embeddings[0][0] = 99.0
        two.embeddings[0][0] = 98.0
        three = await gateway.embed_async("abc")
    assert three.embeddings[0] == as_it_was
