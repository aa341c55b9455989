"""A provider's own signals steer its deployment's limit, and a full one leaves its calls to the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatewright.errors import ProviderUnavailable, RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig

LIMITED = {"rpm": 6_000, "tpm": 1_000_000}


async def test_429_pauses_the_deployment_and_others_take_over(remotes: Any, gateway_over: Any, limit_of: Any) -> None:
    one, other = remotes(), remotes()
    one.script.extend([(429, {"retry-after": "20"})] * 5)
    async with gateway_over(one, other, each=LIMITED, max_retries=3) as gateway:
        answers = [await gateway.generate_async(f"{n}") for n in range(30)]
        assert {answer.text for answer in answers} == {f"{n}" for n in range(30)}
        assert one.asked == 1
        assert other.asked == 30
        assert 15 < limit_of(gateway, "deployment:m#0").paused_for <= 20


async def test_429_pauses_a_deployment_without_limits_too(remotes: Any, gateway_over: Any) -> None:
    one, other = remotes(), remotes()
    one.script.extend([(429, {"retry-after": "20"})] * 5)
    async with gateway_over(one, other, max_retries=3) as gateway:
        for number in range(30):
            await gateway.generate_async(f"{number}")
    assert (one.asked, other.asked) == (1, 30)


async def test_a_pause_is_waited_for_where_there_is_no_other(remotes: Any, gateway_over: Any) -> None:
    only = remotes()
    only.script.append((429, {"retry-after-ms": "150"}))
    async with gateway_over(only, each=LIMITED, max_retries=2) as gateway:
        answer = await gateway.generate_async("hello")
    assert (answer.text, answer.attempts, only.asked) == ("hello", 2, 2)


async def test_a_pause_beyond_the_deadline_is_told_at_once(remotes: Any, gateway_over: Any) -> None:
    only = remotes()
    only.script.append((429, {"retry-after": "30"}))
    async with gateway_over(only, each=LIMITED, max_retries=2, timeout=5) as gateway:
        for number in range(2):
            # The first hears it from the provider, the next from routing, which leaves the deployment alone.
            with pytest.raises((RateLimited, ProviderUnavailable)) as refused:
                await gateway.generate_async(f"{number}")
            assert refused.value.retry_after is not None
            assert 25 < refused.value.retry_after <= 30
    assert only.asked == 1


async def test_remaining_headers_correct_the_limit(remotes: Any, gateway_over: Any, limit_of: Any) -> None:
    one, other = remotes(), remotes()
    each = {"rpm": 6, "tpm": 6_000}
    one.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "5"}
    async with gateway_over(one, other, each=each) as gateway:
        for number in range(7):
            await gateway.generate_async(f"{number}", max_tokens=1)
        corrected = limit_of(gateway, "deployment:m#0")
    # Whatever was drawn, the first answer of the one said that it had none left: the other took all the rest.
    assert one.asked == 1
    assert other.asked == 6
    assert corrected.requests < 1.5


async def test_what_a_call_did_not_use_does_not_come_on_top_of_what_its_provider_says_is_left(
    remotes: Any, gateway_over: Any, limit_of: Any
) -> None:
    one = remotes()
    one.headers = {"x-ratelimit-remaining-tokens": "0"}
    async with gateway_over(one, each={"tpm": 600}) as gateway:
        await gateway.generate_async("hello")
        assert limit_of(gateway, "deployment:m#0").tokens < 5  # but what has come in since


async def test_what_is_left_is_believed_of_embeddings_too(remotes: Any, gateway_over: Any, limit_of: Any) -> None:
    one = remotes()
    one.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}
    async with gateway_over(one, each={"rpm": 60, "tpm": 6_000}) as gateway:
        await gateway.embed_async(["hello", "world"], model="m")
        corrected = limit_of(gateway, "deployment:m#0")
    assert corrected.requests < 0.5
    assert corrected.tokens < 50


async def test_what_is_left_is_believed_of_a_refusal_too(remotes: Any, gateway_over: Any, limit_of: Any) -> None:
    one = remotes()
    left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0"}
    one.script.append((429, left))
    async with gateway_over(one, each={"rpm": 60, "tpm": 6_000}, max_retries=0) as gateway:
        with pytest.raises(RateLimited):
            await gateway.generate_async("hello")
        corrected = limit_of(gateway, "deployment:m#0")
    assert corrected.requests < 0.5  # but what has come in since
    assert corrected.tokens < 50


async def test_remaining_headers_never_raise_a_limit(remotes: Any, gateway_over: Any, limit_of: Any) -> None:
    one = remotes()
    one.headers = {"x-ratelimit-remaining-requests": "100000", "x-ratelimit-remaining-tokens": "100000"}
    async with gateway_over(one, each={"rpm": 6, "tpm": 600}) as gateway:
        await gateway.generate_async("hello")
        limit = limit_of(gateway, "deployment:m#0")
    assert limit.requests < 5.5
    assert limit.tokens <= 600


async def test_a_bulkhead_holds_and_the_rest_waits(remotes: Any, gateway_over: Any, until_async: Any) -> None:
    one = remotes()
    one.holds = True
    async with gateway_over(one, each={"max_parallel_requests": 3}) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(12)]
        await until_async(lambda: one.under_way == 3 and gateway.queue_status().length == 9)
        one.release.set()
        answers = await asyncio.gather(*calls)
    assert [answer.text for answer in answers] == [f"{n}" for n in range(12)]
    assert one.most == 3


async def test_a_full_bulkhead_leaves_calls_to_the_other(remotes: Any, gateway_over: Any, until_async: Any) -> None:
    one, other = remotes(), remotes()
    one.holds = other.holds = True
    async with gateway_over(one, other, each={"max_parallel_requests": 2}) as gateway:
        calls = [asyncio.create_task(gateway.generate_async(f"{n}")) for n in range(4)]
        await until_async(lambda: (one.under_way, other.under_way) == (2, 2))
        assert gateway.queue_status().length == 0
        one.release.set()
        other.release.set()
        await asyncio.gather(*calls)


async def test_a_bulkhead_of_a_stream_is_held_to_its_end(gateway_of: Any, upstream: Any, until_async: Any) -> None:
    async with gateway_of(upstream, params={"max_parallel_requests": 1}) as gateway:
        stream = gateway.generate_stream("endless")
        await anext(aiter(stream))
        waiting = asyncio.create_task(gateway.generate_async("after"))
        await until_async(lambda: gateway.queue_status().length == 1)
        await stream.aclose()
        assert (await waiting).text == "after"


async def test_a_long_embedding_goes_by_a_bulkhead_narrower_than_its_parts(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, params={"max_parallel_requests": 1}) as gateway:
        answer = await gateway.embed_async([f"{n}" for n in range(5_000)])
    assert len(answer.embeddings) == 5_000
    assert len(upstream.batches) > 1


async def test_without_queuing_a_full_deployment_refuses(gateway_of: Any, patient: Any, until_async: Any) -> None:
    calm = RateLimitConfig(enable_queuing=False)
    async with gateway_of(patient, params={"max_parallel_requests": 1}, rate_limit=calm) as gateway:
        first = asyncio.create_task(gateway.generate_async("a"))
        await until_async(lambda: patient.started == 1)
        with pytest.raises(RateLimited, match="deployment:m#0"):
            await gateway.generate_async("b")
        patient.release.set()
        await first
