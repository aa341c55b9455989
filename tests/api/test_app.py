"""The routes, in raw HTTP."""

import json
from typing import Any

import aiohttp
import pytest

from gatewright.testing import ScriptedProvider

ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
JSON = {"content-type": "application/json"}
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


async def error_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body = await response.json()
    assert list(body) == ["error"]
    assert body["error"].keys() == {"message", "type", "code", "param"}
    assert response.headers["x-request-id"].startswith("req_")
    return body["error"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_the_paths_are_there_with_and_without_v1(
    http: aiohttp.ClientSession, provider: ScriptedProvider, prefix: str
) -> None:
    provider.extend("yes", "yes")
    async with http.post(f"{prefix}/chat/completions", json=ASKED) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "yes"
    async with http.post(f"{prefix}/completions", json={"model": "m", "prompt": "x"}) as response:
        assert (await response.json())["choices"][0]["text"] == "yes"
    async with http.post(f"{prefix}/embeddings", json={"model": "sim/x", "input": "x", "dimensions": 2}) as response:
        assert len((await response.json())["data"][0]["embedding"]) == 2
    async with http.get(f"{prefix}/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["m", "sim/*"]
    async with http.get(f"{prefix}/models/sim/any") as response:
        assert (await response.json())["owned_by"] == "simulator"


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness", "/health/readiness", "/"])
async def test_the_health_needs_no_key(serving: Any, path: str) -> None:
    async with serving(master_key="secret-1") as http, http.get(path) as response:
        assert response.status == 200
        assert "secret-1" not in await response.text()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"model":1e999}',
    ],
)
async def test_a_body_that_is_no_json_object(http: aiohttp.ClientSession, path: str, body: bytes) -> None:
    async with http.post(path, data=body, headers=JSON) as response:
        assert response.status == 400
        assert "body" in (await error_of(response))["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("chat/completions", {"model": "m"}, "messages"),
        ("chat/completions", {"model": "m", "messages": []}, "messages"),
        ("chat/completions", {"model": "m", "messages": {}}, "messages"),
        ("chat/completions", {"model": "m", "messages": "hello"}, "messages"),
        ("chat/completions", {"model": "m", "messages": ["hello"]}, "messages[0]"),
        ("chat/completions", {"model": "m", "messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
        ("chat/completions", {"messages": ASKED["messages"]}, "model"),
        ("chat/completions", {**ASKED, "model": ""}, "model"),
        ("chat/completions", {**ASKED, "model": 5}, "model"),
        ("chat/completions", {**ASKED, "stream": "yes"}, "stream"),
        ("chat/completions", {**ASKED, "stream": True, "stream_options": []}, "stream_options"),
        ("chat/completions", {**ASKED, "timeout": "soon"}, "timeout"),
        ("chat/completions", {**ASKED, "timeout": -1}, "timeout"),
        ("chat/completions", {**ASKED, "timeout": True}, "timeout"),
        ("chat/completions", {**ASKED, "max_retries": 1.5}, "max_retries"),
        ("chat/completions", {**ASKED, "num_retries": 1_000_000}, "max_retries"),
        ("chat/completions", {**ASKED, "fallbacks": "m"}, "fallbacks"),
        ("chat/completions", {**ASKED, "fallbacks": [{"m": ["n"]}]}, "fallbacks"),
        ("chat/completions", {**ASKED, "drop_params": 1}, "drop_params"),
        ("chat/completions", {**ASKED, "tags": "a"}, "tags"),
        ("chat/completions", {**ASKED, "session": 5}, "session"),
        ("chat/completions", {**ASKED, "user": 5}, "user"),
        ("chat/completions", {**ASKED, "prompt": "x"}, "prompt"),
        ("chat/completions", {**ASKED, "self": "x"}, "self"),
        ("chat/completions", {**ASKED, "tenant_id": "x"}, "tenant_id"),
        ("chat/completions", {**ASKED, "key_id": "x"}, "key_id"),
        ("completions", {"model": "m"}, "prompt"),
        ("completions", {"model": "m", "prompt": ""}, "prompt"),
        ("completions", {"model": "m", "prompt": []}, "prompt"),
        ("completions", {"model": "m", "prompt": ["x", 1]}, "prompt"),
        ("completions", {"model": "m", "prompt": [True]}, "prompt"),
        ("completions", {"model": "m", "prompt": "x", "messages": []}, "messages"),
        ("embeddings", {"model": "m"}, "input"),
        ("embeddings", {"model": "m", "input": []}, "input"),
        ("embeddings", {"model": "m", "input": {}}, "input"),
        ("embeddings", {"model": "m", "input": ["x", 5]}, "input[1]"),
        ("embeddings", {"model": "m", "input": ["x", []]}, "input[1]"),
        ("embeddings", {"model": "m", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ("embeddings", {"model": "m", "input": "x", "texts": "x"}, "texts"),
    ],
)
async def test_what_is_wrong_is_named(
    http: aiohttp.ClientSession, provider: ScriptedProvider, path: str, body: dict[str, Any], param: str
) -> None:
    async with http.post(f"/v1/{path}", json=body) as response:
        assert response.status == 400
        error = await error_of(response)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert provider.calls == []


@pytest.mark.parametrize(
    "name",
    [
        "extra_headers",
        "extra_body",
        "api_key",
        "base_url",
        "api_base",
        "aws_bedrock_runtime_endpoint",
        "vertex_project",
    ],
)
@pytest.mark.parametrize("path", PATHS)
async def test_where_a_call_goes_is_not_the_callers_to_say(http: aiohttp.ClientSession, path: str, name: str) -> None:
    body = {**ASKED, "input": "x", name: "http://elsewhere"}
    if path == "/v1/completions":
        body = {"model": "m", "prompt": "x", name: "http://elsewhere"}
    async with http.post(path, json=body) as response:
        assert response.status == 400
        error = await error_of(response)
    assert error["param"] == name
    assert "elsewhere" not in error["message"]


async def test_a_null_is_as_good_as_nothing(http: aiohttp.ClientSession, provider: ScriptedProvider) -> None:
    provider.extend("yes")
    nothing = dict.fromkeys(["stream", "stream_options", "timeout", "max_retries", "user", "tools", "temperature"])
    async with http.post("/v1/chat/completions", json={**ASKED, **nothing}) as response:
        assert response.status == 200
    call = provider.calls[0]
    assert call.request.params == {}
    assert call.deadline is not None


async def test_the_gateways_own_options_are_honoured(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("yes")
    options = {"timeout": 7, "num_retries": 3, "fallbacks": ["sim/x"], "drop_params": True, "tags": ["t"], "user": "u"}
    tenant = {"x-gatewright-tenant": "Łódź"}
    async with (
        serving() as http,
        http.post("/v1/chat/completions", json={**ASKED, **options}, headers=tenant) as answer,
    ):
        assert answer.status == 200
    (call,) = provider.calls
    assert call.deadline - call.started_at == pytest.approx(7)
    assert call.options.max_retries == 3
    assert call.options.fallbacks == ("sim/x",)
    assert call.options.drop_params is True
    assert call.caller.tags == ("t",)
    assert call.caller.user == "u"
    assert call.caller.tenant_id == "Łódź"
    assert call.request.params == {"user": "u"}


async def test_a_tenant_needs_a_name(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/chat/completions", json=ASKED, headers={"x-gatewright-tenant": " "}) as response:
        assert response.status == 400
        assert (await error_of(response))["param"] == "x-gatewright-tenant"


async def test_the_default_model_answers_where_none_is_named(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("yes")
    body = {"messages": ASKED["messages"]}
    async with serving(default_model="m") as http, http.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200


async def test_include_usage_is_the_servers_and_the_rest_the_providers(
    http: aiohttp.ClientSession, provider: ScriptedProvider
) -> None:
    provider.extend(["yes"])
    options = {"include_usage": False, "include_obfuscation": False}
    body = {**ASKED, "stream": True, "stream_options": options}
    async with http.post("/v1/chat/completions", json=body) as response:
        events = (await response.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert "usage" not in events[0]
    assert provider.calls[0].request.params == {"stream_options": {"include_obfuscation": False}}


async def test_another_content_type_is_refused(http: aiohttp.ClientSession) -> None:
    """Browsers send such bodies across origins without asking first."""
    headers = {"content-type": "text/plain"}
    async with http.post("/v1/chat/completions", data=json.dumps(ASKED), headers=headers) as response:
        assert response.status == 415
        assert (await error_of(response))["code"] == "unsupported_media_type"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_too_large(serving: Any, announced: bool) -> None:
    async def parts() -> Any:
        for _ in range(100):
            yield b" " * 1000

    async with serving({"max_body_bytes": 10_000}) as http:
        data = b" " * 100_000 if announced else parts()
        async with http.post("/v1/chat/completions", data=data, headers=JSON) as response:
            assert response.status == 413
            assert (await error_of(response))["code"] == "body_too_large"
        async with http.get("/health/liveliness") as response:
            assert response.status == 200


async def test_there_is_no_such_route(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/nothing") as response:
        assert response.status == 404
        assert (await error_of(response))["code"] == "unknown_url"
    async with http.get("/v1/chat/completions") as response:
        assert response.status == 405
        assert response.headers["allow"] == "POST"
        assert (await error_of(response))["code"] == "method_not_allowed"


async def test_a_provider_of_ones_own_that_fails_shows_no_trace(
    http: aiohttp.ClientSession, provider: ScriptedProvider
) -> None:
    provider.extend(KeyError("a secret detail"))
    async with http.post("/v1/chat/completions", json=ASKED) as response:
        assert response.status == 502
        assert (await error_of(response))["code"] == "invalid_provider_response"
        assert "secret" not in await response.text()


async def test_a_model_name_cannot_write_headers(serving: Any) -> None:
    body = {**ASKED, "model": "sim/a\r\nset-cookie: b=ü"}
    async with serving() as http, http.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200
        assert "set-cookie" not in response.headers
        assert "%0D%0Aset-cookie" in response.headers["x-gatewright-model-id"]


async def test_an_empty_stream_is_a_stream(http: aiohttp.ClientSession, provider: ScriptedProvider) -> None:
    provider.extend([])
    async with http.post("/v1/chat/completions", json={**ASKED, "stream": True}) as response:
        assert response.status == 200
        assert await response.text() == "data: [DONE]\n\n"


async def test_the_legacy_parameters_go_to_the_provider(
    http: aiohttp.ClientSession, provider: ScriptedProvider
) -> None:
    provider.extend("yes")
    params = {"echo": True, "suffix": "end", "n": 2, "best_of": 3, "logprobs": 1}
    async with http.post("/v1/completions", json={"model": "m", "prompt": [[1, 2]], **params}) as response:
        assert response.status == 200
    (call,) = provider.calls
    assert call.request.params == params
    assert (call.request.style, call.request.prompt) == ("text", [[1, 2]])
