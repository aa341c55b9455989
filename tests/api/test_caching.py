"""The response cache over HTTP: what LiteLLM's clients send, and what the headers say."""

from __future__ import annotations

from typing import Any

import aiohttp
import openai
import pytest

from gatewright.testing import ScriptedProvider

ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


async def ask(http: aiohttp.ClientSession, body: dict[str, Any], **headers: str) -> tuple[Any, Any]:
    async with http.post("/v1/chat/completions", json={**ASKED, **body}, headers=headers) as response:
        return response.headers, await response.json()


async def test_the_headers_say_what_the_cache_had(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("one", "two")
    async with serving(enable_caching=True) as http:
        first, answer = await ask(http, {})
        again, same = await ask(http, {})
        past, other = await ask(http, {"cache": {"no-cache": True, "no-store": True}})
    assert [one["x-gatewright-cache"] for one in (first, again, past)] == ["miss", "hit", "bypass"]
    assert "age" not in first
    assert int(again["age"]) < 5
    assert (again["x-gatewright-cost-usd"], again["x-gatewright-attempts"]) == ("0", "0")
    assert first["x-request-id"] != again["x-request-id"]
    assert same["choices"] == answer["choices"]
    assert other["choices"][0]["message"]["content"] == "two"


async def test_without_a_cache_there_is_no_header(http: aiohttp.ClientSession, provider: ScriptedProvider) -> None:
    provider.extend("one")
    headers, _ = await ask(http, {"cache": {"no-cache": True}, "cache_ttl": 60})
    assert "x-gatewright-cache" not in headers


async def test_tenants_are_apart(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("one", "two")
    async with serving(enable_caching=True) as http:
        for tenant in ("a", "b", "a", "b"):
            _, answer = await ask(http, {}, **{"x-gatewright-tenant": tenant})
            assert answer["choices"][0]["message"]["content"] == {"a": "one", "b": "two"}[tenant]
    assert len(provider.calls) == 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cache": {"no_cahce": True}}, "cache.no_cahce"),
        ({"cache": "yes"}, "cache"),
        ({"cache": {"ttl": "long"}}, "cache.ttl"),
        ({"cache_ttl": 0}, "cache_ttl"),
        ({"cache_ttl": "1h"}, "cache_ttl"),
    ],
)
async def test_a_wrong_wish_is_a_400_that_names_it(
    http: aiohttp.ClientSession, provider: ScriptedProvider, wrong: dict[str, Any], named: str
) -> None:
    _, body = await ask(http, wrong)
    assert (body["error"]["code"], body["error"]["param"]) == ("bad_request", named)
    assert not provider.calls


async def test_openais_client_and_its_streams(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("one", "two")
    async with serving(cache={"answer_streams": True}) as http:
        client = openai.AsyncOpenAI(base_url=f"{http._base_url}/v1", api_key="none", max_retries=0)
        raw = await client.chat.completions.with_raw_response.create(
            **ASKED, extra_body={"cache": {"namespace": "n", "ttl": 60}}
        )
        assert raw.headers["x-gatewright-cache"] == "miss"
        kept: Any = raw.parse()
        wanted = {"cache": {"namespace": "n"}}
        async with client.chat.completions.with_streaming_response.create(
            **ASKED, stream=True, extra_body=wanted
        ) as streamed:
            assert streamed.headers["x-gatewright-cache"] == "hit"
            assert "age" in streamed.headers
            text = [chunk.choices[0].delta.content or "" async for chunk in await streamed.parse() if chunk.choices]
        assert "".join(text) == kept.choices[0].message.content == "one"
        stream = await client.chat.completions.create(**ASKED, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == "two"
        await client.close()


async def test_vectors(serving: Any) -> None:
    async with serving(enable_caching=True) as http:
        body = {"model": "sim/x", "dimensions": 4}
        async with http.post("/v1/embeddings", json={**body, "input": ["a", "b"]}) as response:
            first = await response.json()
            assert response.headers["x-gatewright-cache"] == "miss"
        async with http.post("/v1/embeddings", json={**body, "input": ["b", "c"]}) as response:
            part = await response.json()
            assert response.headers["x-gatewright-cache"] == "miss"
        async with http.post("/v1/embeddings", json={**body, "input": ["c", "a"]}) as response:
            hit = await response.json()
            assert response.headers["x-gatewright-cache"] == "hit"
    vectors = {name: body["data"][place]["embedding"] for name, body, place in (("a", first, 0), ("b", first, 1), ("c", part, 1))}  # noqa: E501 # fmt: skip
    assert part["data"][0]["embedding"] == vectors["b"]
    assert [one["embedding"] for one in hit["data"]] == [vectors["c"], vectors["a"]]
    assert (part["usage"]["prompt_tokens"], hit["usage"]["prompt_tokens"]) == (1, 0)
