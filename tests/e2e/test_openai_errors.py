"""Errors as the official client's own exception types, and what it does about them."""

import openai
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running

USER = [{"role": "user", "content": "Good morning"}]
TYPES = {
    "authentication": (openai.AuthenticationError, "invalid_api_key"),
    "bad_request": (openai.BadRequestError, "bad_request"),
    "connection_failed": (openai.InternalServerError, "connection_failed"),
    "content_policy_violation": (openai.BadRequestError, "content_policy_violation"),
    "context_window_exceeded": (openai.BadRequestError, "context_length_exceeded"),
    "invalid_provider_response": (openai.InternalServerError, "invalid_provider_response"),
    "not_found": (openai.NotFoundError, "model_not_found"),
    "permission_denied": (openai.PermissionDeniedError, "permission_denied"),
    "provider_timeout": (openai.InternalServerError, "provider_timeout"),
    "provider_unavailable": (openai.InternalServerError, "provider_unavailable"),
    "rate_limited": (openai.RateLimitError, "rate_limit_exceeded"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "rate_limited"])
def test_a_provider_that_fails(client: openai.OpenAI, kind: str, stream: bool) -> None:
    """A stream that fails before its first chunk fails as any call does."""
    expected, code = TYPES[kind]
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model=f"fails-{kind}", messages=USER, stream=stream)
    error = caught.value
    assert error.code == code
    assert f"simulated failure: {kind}" in error.message
    assert error.request_id.startswith("req_")
    assert error.response.headers["x-gatewright-error"] == kind
    assert error.response.headers["x-gatewright-provider"] == "simulator"


def test_a_rate_limit_says_when_to_come_back(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="fails-rate_limited", messages=USER)
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.response.headers["retry-after-ms"] == "20"
    assert caught.value.type == "rate_limit_error"


@pytest.mark.parametrize("model", ["limited-once", "down-once"])
def test_the_client_tries_again_by_itself(client: openai.OpenAI, model: str) -> None:
    patient = client.with_options(max_retries=3)
    raw = patient.chat.completions.with_raw_response.create(model=model, messages=USER)
    assert raw.retries_taken >= 1
    assert raw.parse().choices[0].message.content.startswith("You said")


def test_what_cannot_be_helped_is_not_tried_again(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.with_options(max_retries=5).chat.completions.create(model="fails-bad_request", messages=USER)
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=5).chat.completions.create(
            model="slow", messages=USER, extra_body={"timeout": 0.05}
        )
    assert caught.value.status_code == 504
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_wrong_key(url: str) -> None:
    for key in ("wrong", "the-server-key-and-more"):
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.chat.completions.create(model="small", messages=USER)
            assert caught.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError):
                client.models.list()


def test_a_model_that_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nothing-like-it", messages=USER)
    assert caught.value.param == "model"


def test_a_route_that_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="x")
    assert "POST /v1/moderations" in caught.value.message


def test_empty_messages_are_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=[])
    assert caught.value.param == "messages"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"n": 0.5}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"extra_body": {"api_base": "http://example.com"}}, "api_base"),
    ],
)
def test_what_is_wrong_is_named(client: openai.OpenAI, changes: dict, param: str) -> None:
    request = {"model": "small", "messages": USER, **changes}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request)
    assert caught.value.param == param


def test_a_client_that_loses_patience(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="slow", messages=USER, timeout=0.1)


def test_a_stream_that_breaks_in_the_middle(client: openai.OpenAI) -> None:
    text = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model="breaking", messages=USER, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert text.startswith("You ")
    assert caught.value.code == "stream_interrupted"
    assert f"after {len(text)} characters" in caught.value.message


async def test_the_same_by_the_async_client(async_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIError):
        async for _ in await async_client.chat.completions.create(model="breaking", messages=USER, stream=True):
            pass
    with pytest.raises(openai.RateLimitError):
        await async_client.with_options(max_retries=0).chat.completions.create(
            model="fails-rate_limited", messages=USER, extra_body={"max_retries": 0}
        )


async def test_a_server_that_is_not_there() -> None:
    async with running(LiteLLMGateway(GatewayConfig(providers=["simulator"]))) as url:
        gone = url
    async with openai.AsyncOpenAI(base_url=f"{gone}/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            await client.models.list()
