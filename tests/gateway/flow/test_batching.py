"""Embeddings that come together are one upstream request, and each caller gets its own."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import BadRequest, RateLimited
from gatewright.layers.rate_limiter import RateLimitConfig

ON = {"batching": {"enabled": True}}


def own(text: str) -> list[float]:
    """Give the vector that the upstream has for a text, at length 1."""
    vector = [3.0 * len(text), 4.0]
    return [part / math.hypot(*vector) for part in vector]


async def test_a_thousand_at_once_are_few_upstream_requests(gateway_of: Any, upstream: Any) -> None:
    texts = ["x" * (1 + n % 50) for n in range(1_000)]
    off = {"batching": {"enabled": False}, "deduplication": {"enabled": False}}
    async with gateway_of(upstream, **off) as gateway:
        await asyncio.gather(*(gateway.embed_async(text) for text in texts))
        without = len(upstream.requests)
    # Fifty texts, twenty times each: what deduplication would do is none of this.
    async with gateway_of(upstream, **ON, deduplication={"enabled": False}) as gateway:
        answers = await asyncio.gather(*(gateway.embed_async(text) for text in texts))
    assert without == 1_000
    assert len(upstream.requests) - without <= without / 20
    for text, answer in zip(texts, answers, strict=True):
        assert answer.embeddings[0] == pytest.approx(own(text), abs=1e-6)
    assert sum(answer.usage.prompt_tokens for answer in answers) == 1_000
    assert len({answer.request_id for answer in answers}) == 1_000


def test_those_of_many_threads_too(gateway_of: Any, upstream: Any) -> None:
    with gateway_of(upstream, **ON) as gateway, ThreadPoolExecutor(32) as threads:
        texts = ["x" * (1 + n) for n in range(200)]
        answers = list(threads.map(gateway.embed, texts))
    assert [answer.embeddings[0] for answer in answers] == [pytest.approx(own(text), abs=1e-6) for text in texts]
    assert len(upstream.requests) < 200


async def test_tenants_are_not_mixed(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, **ON) as gateway:
        await asyncio.gather(*(gateway.embed_async(f"{n}", tenant_id=f"t{n % 4}") for n in range(40)))
    assert sorted(upstream.batches) == [10, 10, 10, 10]


async def test_long_and_short_lists_together(gateway_of: Any, upstream: Any) -> None:
    sizes = [1, 3000, 2, 1, 700, 5]
    async with gateway_of(upstream, **ON) as gateway:
        answers = await asyncio.gather(*(gateway.embed_async(["x" * 3] * size) for size in sizes))
    assert [len(answer.embeddings) for answer in answers] == sizes


async def test_one_bad_input_fails_alone(gateway_of: Any) -> None:
    from gatewright.pipeline.call import Call
    from gatewright.pipeline.reply import Reply
    from gatewright.types.results import Embeddings

    class Choosy:
        async def __call__(self, call: Call, /) -> Reply[Any, Any]:
            inputs = call.embedding.inputs
            if "bad" in inputs:
                raise BadRequest("one of them is bad")
            return Reply[Any, Any].whole(
                Embeddings(vectors=[[float(len(text)), 1.0] for text in inputs], model="m", provider="own")
            )

        async def aclose(self) -> None: ...

    texts = [*(f"{n}" for n in range(20)), "bad", *(f"{n}" for n in range(20, 40))]
    async with gateway_of(Choosy(), **ON) as gateway:
        got = await asyncio.gather(*(gateway.embed_async(text) for text in texts), return_exceptions=True)
    assert [type(one).__name__ for one in got].count("BadRequest") == 1
    assert isinstance(got[20], BadRequest)


async def test_a_cancelled_caller_takes_nobody_along(gateway_of: Any, patient: Any, until_async: Any) -> None:
    async with gateway_of(patient, **ON) as gateway:
        calls = [asyncio.create_task(gateway.embed_async(f"{n}")) for n in range(5)]
        await until_async(lambda: patient.started == 1)
        calls[0].cancel()
        patient.release.set()
        got = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(got[0], asyncio.CancelledError)
    assert [len(one.embeddings) for one in got[1:]] == [1, 1, 1, 1]  # type: ignore[union-attr]


async def test_each_of_a_batch_is_charged_its_own(gateway_of: Any, upstream: Any, limit_of: Any) -> None:
    limit = RateLimitConfig(tokens_per_minute=0.001, burst_tokens=1000, requests_per_minute=0.001, burst_size=100)
    async with gateway_of(upstream, tenant_rate_limits={"t": limit}, **ON) as gateway:
        await asyncio.gather(*(gateway.embed_async(f"{n}", tenant_id="t") for n in range(40)))
        left = limit_of(gateway, "tenant:t")
    assert left.tokens == pytest.approx(960, abs=0.1)
    assert left.requests == pytest.approx(60, abs=0.1)
    assert left.in_flight == 0


async def test_everything_on_at_once(gateway_of: Any, upstream: Any) -> None:
    everything: dict[str, Any] = {
        "deduplication": {"enabled": True},
        "circuit_breaker": {},
        "rate_limit": {"requests_per_minute": 1e6, "tokens_per_minute": 1e9, "max_concurrent": 5000},
        "params": {"rpm": 100_000, "tpm": 10_000_000, "max_parallel_requests": 100},
    }
    async with gateway_of(upstream, **everything, **ON) as gateway:
        texts = [f"{n % 100}" for n in range(400)]
        vectors = asyncio.gather(*(gateway.embed_async(text) for text in texts))
        answers = asyncio.gather(*(gateway.generate_async(text) for text in texts))
        assert [len(one.embeddings) for one in await vectors] == [1] * 400
        assert [one.text for one in await answers] == texts
        assert all(one.in_flight == 0 for one in gateway.rate_limits())
        assert gateway.queue_status().length == 0
    assert len(upstream.requests) < 150


async def test_one_input_that_is_too_long_does_not_send_the_others_to_the_fallback(remotes: Any) -> None:
    main, spare = remotes(), remotes()
    main.longest = 20
    models: Any = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": remote.url, "api_key": "k"}}
        for name, remote in (("m", main), ("n", spare))
    ]
    config = GatewayConfig(model_list=models, context_window_fallbacks={"m": ["n"]}, max_retries=0, close_timeout=0.2)
    async with LiteLLMGateway(config) as gateway:
        texts = ["a", "b", "too long by far for the first of them", "c", "d"]
        answers = await asyncio.gather(*(gateway.embed_async(text, model="m") for text in texts))
    assert [answer.deployment_id for answer in answers] == ["m#0", "m#0", "n#1", "m#0", "m#0"]
    assert spare.asked == 1


@pytest.mark.parametrize("tpm", [600])
async def test_batches_keep_a_deployments_limit_of_tokens(remotes: Any, gateway_over: Any, tpm: int) -> None:
    one = remotes()
    async with gateway_over(one, each={"tpm": tpm}, timeout=1) as gateway:
        made = [gateway.embed_async("word " * 80 + str(number), model="m") for number in range(30)]
        done = await asyncio.gather(*made, return_exceptions=True)
    answered = [answer for answer in done if not isinstance(answer, BaseException)]
    assert all(isinstance(error, RateLimited) for error in done if isinstance(error, BaseException))
    assert 0 < len(answered) * 80 <= tpm + 100
    assert one.asked < len(answered)
