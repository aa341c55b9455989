"""A whole gateway before providers that fail in every way, over real sockets."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gatewright.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    GatewayError,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from gatewright.gateway import GatewayConfig, LiteLLMGateway, configure_gateway
from providers.upstream import CLOSE, HANG, RESET, Upstream, chunk, completion, reply, sse

KEY = "sk-live-abcdef0123456789"
PRICES = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}
USAGE = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}}
DOWN = reply({"error": {"message": "down"}}, 503)


def config(*upstreams: Upstream, **settings: Any) -> GatewayConfig:
    """Give models `m0`, `m1` … of one deployment each, each the fallback of the one before."""
    models = [
        {
            "model_name": f"m{place}",
            "litellm_params": {
                "model": f"openai/gpt-{place}",
                "api_key": KEY,
                "api_base": f"{upstream.url}/v1",
                **PRICES,
            },
        }
        for place, upstream in enumerate(upstreams)
    ]
    fallbacks = [{f"m{place}": [f"m{place + 1}"]} for place in range(len(upstreams) - 1)]
    return configure_gateway(model_list=models, fallbacks=fallbacks, **{"max_retries": 0, **settings})


async def test_every_failure_falls_back_to_the_one_that_works():
    failures = [
        DOWN,
        reply(b"<html>", 502, type_="text/html"),
        reply(b"<html>", 200, type_="text/html"),
        reply({"error": {"message": "no"}}, 401),
        reply({"error": {"message": "slow"}}, 429, retry_after="0"),
        [b"garbage\r\n\r\n"],
        [CLOSE],
        [RESET],
        reply({"choices": []}),
    ]
    async with (
        Upstream(*failures) as bad,
        Upstream() as good,
        LiteLLMGateway(config(bad, good, circuit_breaker={"enabled": False})) as gateway,
    ):
        for number, _ in enumerate(failures):
            response = await gateway.generate_async(f"hi {number}", model="m0")
            assert (response.text, response.attempts, response.deployment_id) == ("hello", 2, "m1#1")
        assert len(bad.asked) == len(failures)


async def test_a_deployment_that_nobody_listens_at_falls_back():
    async with Upstream() as gone:
        pass
    async with Upstream() as good, LiteLLMGateway(config(gone, good)) as gateway:
        assert (await gateway.generate_async("hi", model="m0")).text == "hello"


async def test_retry_after_is_waited_for_and_then_the_answer_comes():
    limited = reply({"error": {"message": "slow"}}, 429, retry_after_ms="150")
    async with (
        Upstream(limited, reply(completion())) as upstream,
        LiteLLMGateway(config(upstream, max_retries=1)) as gateway,
    ):
        response = await gateway.generate_async("hi", model="m0")
    assert response.attempts == 2
    assert response.latency_ms >= 150


async def test_the_last_error_is_the_callers():
    async with (
        Upstream(DOWN) as one,
        Upstream(reply({"error": {"message": "slow"}}, 429)) as two,
        LiteLLMGateway(config(one, two)) as gateway,
    ):
        with pytest.raises(RateLimited) as caught:
            await gateway.generate_async("hi", model="m0")
    assert (caught.value.attempts, caught.value.model) == (2, "gpt-1")
    assert (caught.value.request_id or "").startswith("req_")


async def test_an_outage_is_not_multiplied():
    async with Upstream(DOWN) as upstream:
        settings = {"max_retries": 3, "retries": {"base": 0.0, "budget_reserve": 5.0, "budget_per_second": 0.0}}
        async with LiteLLMGateway(config(upstream, **settings)) as gateway:
            for _ in range(30):
                with pytest.raises(ProviderUnavailable):
                    await gateway.generate_async("hi", model="m0")
        assert len(upstream.asked) <= 30 * 1.2 + 5


async def test_the_deadline_covers_retries_and_fallbacks():
    async with (
        Upstream([0.05, *DOWN]) as one,
        Upstream([HANG]) as two,
        LiteLLMGateway(config(one, two)) as gateway,
    ):
        with pytest.raises(DeadlineExceeded):
            await gateway.generate_async("hi", model="m0", timeout=0.5)
    assert (len(one.asked), len(two.asked)) == (1, 1)


# --- streams ---


async def test_a_stream_that_fails_before_its_first_chunk_falls_back():
    failures = [DOWN, sse(), sse("{garbage"), sse(CLOSE), sse({"error": {"message": "no", "code": 503}})]
    async with (
        Upstream(*failures) as bad,
        Upstream(sse(chunk("hello", finish="stop"), "[DONE]")) as good,
        LiteLLMGateway(config(bad, good, circuit_breaker={"enabled": False})) as gateway,
    ):
        for number, _ in enumerate(failures):
            stream = gateway.generate_stream(f"hi {number}", model="m0")
            assert "".join([text async for text in stream]) == "hello"
            assert stream.response is not None
            assert stream.response.attempts == 2


@pytest.mark.parametrize("ending", [[CLOSE], [0.02, RESET], ["{garbage"], [{"error": {"message": "no", "code": 500}}]])
async def test_a_stream_that_fails_later_ends_with_its_text(ending: list[Any]):
    async with (
        Upstream(sse(chunk("hel"), 0.02, *ending)) as bad,
        Upstream() as good,
        LiteLLMGateway(config(bad, good)) as gateway,
    ):
        stream = gateway.generate_stream("hi", model="m0")
        with pytest.raises(StreamInterrupted) as caught:
            async for _ in stream:
                pass
    assert caught.value.text == stream.text == "hel"
    assert isinstance(caught.value.__cause__, GatewayError)
    assert good.asked == []


async def test_a_broken_stream_goes_on_at_the_fallback_and_all_of_it_is_counted():
    broken = sse(chunk("once upon "), chunk("a ti"), 0.02, CLOSE)
    rest = sse(chunk("me", finish="stop"), USAGE, "[DONE]")
    async with (
        Upstream(broken) as bad,
        Upstream(rest) as good,
        LiteLLMGateway(config(bad, good, continue_streams=True)) as gateway,
    ):
        stream = gateway.generate_stream("hi", model="m0")
        assert "".join([text async for text in stream]) == "once upon a time"
    assert good.asked[0].body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "once upon a ti"},
    ]
    response = stream.response
    assert response is not None
    assert (response.text, response.finish_reason, response.attempts) == ("once upon a time", "stop", 2)
    assert (response.deployment_id, response.model) == ("m1#1", "gpt-1")
    # The broken part is estimated: "hi" in a message is 5 tokens, "once upon a ti" is 4.
    assert response.usage.source == "estimated"
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (15, 7)
    assert response.cost_usd == pytest.approx(15 * 0.001 + 7 * 0.002)


async def test_tool_calls_are_never_continued():
    call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": "{"}}
    tools = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    async with (
        Upstream(sse(chunk("let me see"), tools, 0.02, CLOSE)) as bad,
        Upstream() as good,
        LiteLLMGateway(config(bad, good, continue_streams=True)) as gateway,
    ):
        with pytest.raises(StreamInterrupted):
            async for _ in gateway.generate_stream("hi", model="m0"):
                pass
    assert good.asked == []


async def test_leaving_a_stream_early_is_seen_upstream():
    async with Upstream(sse(chunk("hel"), HANG)) as upstream, LiteLLMGateway(config(upstream)) as gateway:
        async with gateway.generate_stream("hi", model="m0") as stream:
            assert await anext(stream) == "hel"
        await asyncio.wait_for(upstream.gone.wait(), 2)


# --- secrets ---


async def test_the_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    echo = reply({"error": {"message": f"the key {KEY} is wrong", "code": KEY}}, 401, x_echo=KEY)
    async with Upstream(echo) as upstream, LiteLLMGateway(config(upstream)) as gateway:
        with pytest.raises(AuthenticationFailed) as caught:
            await gateway.generate_async("hi", model="m0")
        shown = [repr(gateway), repr(gateway.config), str(gateway.config), caplog.text]
    error: BaseException | None = caught.value
    shown += [repr(caught.value.as_dict())]
    while error is not None:
        shown += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert not [text for text in shown if KEY in text]
