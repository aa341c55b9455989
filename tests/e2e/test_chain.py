"""A server in front of a server: what one says over real HTTP, the other's direct lane understands."""

import math
from collections.abc import AsyncIterator

import openai
import pytest

from gatewright import GatewayConfig, LiteLLMGateway, errors
from gatewright.api.serve import running
from gatewright.testing import ScriptedProvider
from gatewright.types.results import Answer, Choice, Chunk, ToolCall, ToolCallDelta
from gatewright.types.usage import Usage

USER = [{"role": "user", "content": "Good morning"}]
RICH = Choice(
    text="Hello",
    finish_reason="tool_calls",
    tool_calls=(ToolCall(id="call_1", name="f", arguments='{"a": 1}'),),
    reasoning="Thinking …",
    refusal="No",
    logprobs={"content": [{"token": "Hello", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None},
    audio={"id": "audio_1", "data": "AAAA", "expires_at": 1, "transcript": "Hello"},
    extra={"annotations": [{"type": "url_citation", "url_citation": {"url": "http://x", "title": "x"}}]},
)
USAGE = Usage(prompt_tokens=9, completion_tokens=5, total_tokens=14, cached_tokens=4, reasoning_tokens=2)


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider([])


@pytest.fixture
async def url(provider: ScriptedProvider) -> AsyncIterator[str]:
    entry = {"model_name": "m", "litellm_params": {"model": "scripted/m"}}
    config = GatewayConfig(model_list=[entry], max_retries=0, master_key="secret-key-1")
    async with running(LiteLLMGateway(config, providers={"scripted": lambda _: provider})) as base:
        yield f"{base}/v1"


@pytest.fixture
async def near(url: str) -> AsyncIterator[LiteLLMGateway]:
    entry = {"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": url, "api_key": "secret-key-1"}}
    async with LiteLLMGateway(GatewayConfig(model_list=[entry], max_retries=0)) as gateway:
        yield gateway


async def test_whatever_an_answer_has_arrives(provider: ScriptedProvider, near: LiteLLMGateway) -> None:
    provider.extend(Answer(choices=[RICH], model="m-1", provider="scripted", usage=USAGE, id="x", created=5))
    answer = await near.generate_async(messages=USER, model="m")
    assert answer.choices == [RICH]
    assert answer.usage == USAGE
    assert (answer.model, answer.id, answer.created) == ("m-1", "x", 5)


async def test_whatever_a_stream_has_arrives(provider: ScriptedProvider, near: LiteLLMGateway) -> None:
    parts = [
        Chunk(reasoning="Thinking ", id="x", created=5, model="m-1", system_fingerprint="fp"),
        Chunk(reasoning="…"),
        Chunk(text="Hel"),
        Chunk(text="lo", logprobs=RICH.logprobs),
        Chunk(refusal="No"),
        Chunk(audio=RICH.audio, extra=RICH.extra),
        Chunk(tool_calls=(ToolCallDelta(index=0, id="call_1", name="f", arguments='{"a"'),)),
        Chunk(tool_calls=(ToolCallDelta(index=0, arguments=": 1}"),), finish_reason="tool_calls"),
        Chunk(usage=USAGE),
    ]
    provider.extend(parts)
    stream = near.generate_stream(messages=USER, model="m")
    assert "".join([text async for text in stream]) == "Hello"
    assert stream.response.choices == [RICH]
    assert stream.response.usage == USAGE
    assert stream.response.id == "x"
    assert provider.calls[0].stream


async def test_the_client_reads_the_extras(provider: ScriptedProvider, url: str) -> None:
    provider.extend(Answer(choices=[RICH], model="m-1", provider="scripted", usage=USAGE))
    async with openai.AsyncOpenAI(base_url=url, api_key="secret-key-1") as client:
        message = (await client.chat.completions.create(model="m", messages=USER)).choices[0].message
    assert message.model_extra["reasoning_content"] == "Thinking …"
    assert message.refusal == "No"
    assert message.audio.transcript == "Hello"
    assert message.annotations[0].url_citation.url == "http://x"


ERRORS = [
    errors.BadRequest("no"),
    errors.ContextWindowExceeded("no"),
    errors.ContentPolicyViolation("no"),
    errors.AuthenticationFailed("no"),
    errors.PermissionDenied("no"),
    errors.NotFound("no"),
    errors.RateLimited("no", retry_after=2.5),
    errors.ProviderUnavailable("no", retry_after=1),
    errors.ProviderTimeout("no"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
async def test_an_error_is_the_same_error_two_servers_on(
    provider: ScriptedProvider, near: LiteLLMGateway, error: errors.GatewayError
) -> None:
    provider.extend(error)
    with pytest.raises(errors.GatewayError) as caught:
        await near.generate_async(messages=USER, model="m")
    assert type(caught.value) is type(error)
    assert caught.value.retryable == error.retryable
    if error.retry_after is not None:
        assert caught.value.retry_after == pytest.approx(math.ceil(error.retry_after))


async def test_a_stream_that_breaks(provider: ScriptedProvider, near: LiteLLMGateway) -> None:
    provider.extend(["Hel", "lo", errors.ConnectionFailed("gone")])
    stream = near.generate_stream(messages=USER, model="m")
    with pytest.raises(errors.StreamInterrupted) as caught:
        async for _ in stream:
            pass
    assert caught.value.text == "Hello"


async def test_what_a_request_asks_arrives(provider: ScriptedProvider, near: LiteLLMGateway) -> None:
    provider.extend("yes")
    await near.generate_async(messages=USER, model="m", temperature=0.5, tools=[], unheard_of={"a": [1]}, user="u")
    request = provider.calls[0].request
    assert request.messages == USER
    assert request.params == {"temperature": 0.5, "tools": [], "unheard_of": {"a": [1]}, "user": "u"}
    assert provider.calls[0].caller.user == "u"
