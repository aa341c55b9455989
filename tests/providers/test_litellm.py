"""The litellm lane against a local server: what it sends, what it refuses, and what it makes of bad answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from gatewright import errors
from gatewright.pipeline.call import Call, CallOptions
from gatewright.providers.litellm.clients import Lease
from gatewright.providers.litellm.provider import LiteLLMProvider
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest
from gatewright.types.results import lazy_json
from gatewright.types.usage import Price

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_"),
]

SECRET = "sk-test-0123456789abcdefghij"
WHOLE = {
    "id": "one",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
}
PART = {"id": "one", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(content: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason}
    return b"data: " + json.dumps({**PART, "choices": [choice]}).encode() + b"\n\n"


class Upstream:
    """Answers with `body` under `status`; `hold` keeps a stream open after it, until the client goes."""

    def __init__(self) -> None:
        self.status, self.body, self.headers, self.hold = 200, b"", {}, False
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.url = ""

    def answer(self, body: Any, status: int = 200, *, hold: bool = False, **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.hold = status, hold
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.sent.clear()
        self.gone.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.sent.append(json.loads(await reader.readexactly(size)))
        headers = {"content-type": "application/json", "connection": "close", **self.headers}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + self.body)
        if self.hold:
            await reader.read()
        writer.close()
        self.gone.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    lease = Lease()
    lease.take()
    up = Upstream()
    server = await asyncio.start_server(up.serve, "127.0.0.1", 0)
    up.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield up
    server.close()
    await lease.give_back()


def provider(url: str, *, drop: bool = False, name: str = "openai", **fields: Any) -> LiteLLMProvider:
    given = {"timeout": 10.0, **fields}
    return LiteLLMProvider(
        Deployment(id="d", group="g", provider=name, model="m", base_url=url, api_key=SecretStr(SECRET), **given),
        drop,
    )


def call(*, stream: bool = False, deadline: float | None = None, drop: bool | None = None, **params: Any) -> Call:
    return Call(
        request=GenerateRequest(model="g", messages=[{"role": "user", "content": "Hi"}], params=params),
        id="req_1",
        started_at=time.monotonic(),
        stream=stream,
        deadline=deadline,
        options=CallOptions(drop_params=drop),
    )


async def test_a_whole_answer_has_its_facts_its_cost_and_its_raw_form(upstream: Upstream) -> None:
    upstream.answer(WHOLE)
    priced = provider(upstream.url, price=Price(input_cost_per_token=1.0, output_cost_per_token=10.0))
    async with await priced(call(temperature=0.5)) as reply:
        answer = await reply.value()
    assert (answer.choices[0].text, answer.usage.total_tokens, answer.cost_usd) == ("Hello", 5, 32.0)
    assert lazy_json(answer.raw)["choices"][0]["message"]["content"] == "Hello"
    assert upstream.sent[0]["temperature"] == 0.5


async def test_a_stream_asks_for_its_usage_and_adds_up(upstream: Upstream) -> None:
    usage = b"data: " + json.dumps({**PART, "choices": [], "usage": WHOLE["usage"]}).encode() + b"\n\n"
    body = event("Hel") + event("lo", "stop") + usage + b"data: [DONE]\n\n"
    upstream.answer(body, content_type="text/event-stream")
    async with await provider(upstream.url)(call(stream=True)) as reply:
        answer = await reply.value()
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello", "stop")
    assert (answer.usage.total_tokens, answer.usage.source) == (5, "provider")
    assert upstream.sent[0]["stream_options"] == {"include_usage": True}


async def test_a_stream_closed_early_cancels_the_request_upstream(upstream: Upstream) -> None:
    upstream.answer(event("Hel"), content_type="text/event-stream", hold=True)
    async with await provider(upstream.url)(call(stream=True)) as reply:
        assert (await anext(reply)).text == "Hel"
        assert not upstream.gone.is_set()
    async with asyncio.timeout(5):
        await upstream.gone.wait()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"not json", "application/json"),
        (b"<html><body>502</body></html>", "text/html"),
        (b"[]", "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"choices": [{}]}', "application/json"),
        (b'{"choices": [{"index": 0, "message": 5}]}', "application/json"),
        (b"{}", "application/json"),
        (b"", "application/json"),
        (b"null", "application/json"),
    ],
)
async def test_a_malformed_answer_is_an_invalid_response(upstream: Upstream, body: bytes, kind: str) -> None:
    upstream.answer(body, content_type=kind)
    with pytest.raises(errors.InvalidProviderResponse) as caught:
        await provider(upstream.url)(call())
    assert caught.value.retryable
    assert "site-packages" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        event("Hel"),
        event("Hel") + b"data: {broken\n\n",
        event("Hel") + b"data: [1, 2]\n\n",
        event("Hel") + b"\xff\xfe garbage\n\n",
        b"<html><body>502</body></html>",
        b"data: nothing\n\n",
        b"",
    ],
)
async def test_a_cut_or_garbled_stream_is_an_invalid_response(upstream: Upstream, body: bytes) -> None:
    upstream.answer(body, content_type="text/event-stream")
    with pytest.raises(errors.InvalidProviderResponse):
        async with await provider(upstream.url)(call(stream=True)) as reply:
            await reply.value()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BadRequest),
        (401, errors.AuthenticationFailed),
        (402, errors.PermissionDenied),
        (403, errors.PermissionDenied),
        (404, errors.NotFound),
        (408, errors.ProviderTimeout),
        (413, errors.BadRequest),
        (422, errors.BadRequest),
        (429, errors.RateLimited),
        (500, errors.ProviderUnavailable),
        (502, errors.ProviderUnavailable),
        (503, errors.ProviderUnavailable),
        (504, errors.ProviderTimeout),
        (529, errors.ProviderUnavailable),
    ],
)
@pytest.mark.parametrize("name", ["openai", "anthropic", "mistral"])
@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
async def test_an_error_is_classified_by_its_status(
    upstream: Upstream, status: int, error: type[errors.GatewayError], name: str, html: bool
) -> None:
    message = f"no, your key is {SECRET}"
    upstream.answer(f"<p>{message}</p>".encode() if html else {"error": {"message": message}}, status)
    with pytest.raises(errors.GatewayError) as caught:
        await provider(upstream.url, name=name)(call(max_tokens=5))
    assert type(caught.value) is error
    assert caught.value.upstream_status == status
    assert SECRET not in str(caught.value)
    assert len(upstream.sent) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after": "1", "retry_after_ms": "0"}, 1.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
async def test_retry_after_is_read_in_all_its_forms(
    upstream: Upstream, headers: dict[str, str], seconds: float | None
) -> None:
    upstream.answer({"error": {"message": "slow down"}}, 429, **headers)
    with pytest.raises(errors.RateLimited) as caught:
        await provider(upstream.url)(call())
    assert caught.value.retry_after == seconds


async def test_a_closed_port_is_a_failed_connection() -> None:
    with pytest.raises(errors.ConnectionFailed):
        await provider("http://127.0.0.1:9/v1")(call())


async def test_a_slow_provider_is_a_timeout_and_a_passed_deadline_a_deadline(upstream: Upstream) -> None:
    upstream.answer(event("Hel"), content_type="text/event-stream", hold=True)
    with pytest.raises(errors.ProviderTimeout):
        async with await provider(upstream.url, timeout=0.2)(call(stream=True)) as reply:
            await reply.value()
    with pytest.raises(errors.DeadlineExceeded):
        async with await provider(upstream.url)(call(stream=True, deadline=time.monotonic() + 0.2)) as reply:
            await reply.value()


@pytest.mark.parametrize("name", ["api_base", "api_key", "mock_response", "aws_access_key_id", "fallbacks", "timeout"])
async def test_a_caller_cannot_steer_litellm(upstream: Upstream, name: str) -> None:
    upstream.answer(WHOLE)
    with pytest.raises(errors.BadRequest) as caught:
        await provider(upstream.url)(call(**{name: "x"}))
    assert caught.value.param == name
    assert upstream.sent == []


async def test_an_unsupported_parameter_is_named_or_dropped(upstream: Upstream) -> None:
    upstream.answer(WHOLE)
    with pytest.raises(errors.UnsupportedParameter) as caught:
        await provider(upstream.url, name="mistral")(call(logit_bias={"1": 1}))
    assert caught.value.param == "logit_bias"
    await provider(upstream.url, name="mistral")(call(logit_bias={"1": 1}, drop=True))
    assert "logit_bias" not in upstream.sent[0]


async def test_embeddings_come_in_order_as_numbers_or_base64(upstream: Upstream) -> None:
    data = [{"index": 1, "embedding": [3.0]}, {"index": 0, "embedding": "AACAPw=="}]
    upstream.answer({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    ask = Call(request=EmbedRequest(model="g", inputs=["a", "b"]), id="req_1", started_at=0.0)
    reply = await provider(upstream.url)(ask)
    assert (await reply.value()).vectors == [[1.0], [3.0]]


async def test_too_few_vectors_are_an_invalid_response(upstream: Upstream) -> None:
    upstream.answer({"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    ask = Call(request=EmbedRequest(model="g", inputs=["a"]), id="req_1", started_at=0.0)
    with pytest.raises(errors.InvalidProviderResponse):
        await provider(upstream.url)(ask)
