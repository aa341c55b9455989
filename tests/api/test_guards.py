"""Guards over HTTP: what is refused, what is redacted, and what is warned of."""

from __future__ import annotations

from typing import Any

import aiohttp
import openai
import pytest

from gatewright.testing import ScriptedProvider

LEAK = "The key is AKIAIOSFODNN7EXAMPLQ, ask jane.doe@firm.com."


async def ask(http: aiohttp.ClientSession, text: str = "x") -> tuple[int, Any, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    async with http.post("/v1/chat/completions", json=body) as response:
        return response.status, response.headers, await response.json()


async def test_a_blocked_answer_is_an_error_that_never_says_what_was_found(
    serving: Any, provider: ScriptedProvider
) -> None:
    provider.extend(LEAK)
    async with serving(enable_validation=True) as http:
        status, headers, body = await ask(http)
        async with http.get("/health") as response:
            (counted,) = (await response.json())["guards"][:1]
    assert (status, headers["x-gatewright-error"]) == (422, "validation_failed")
    assert (counted["side"], counted["count"]) == ("output", 1)
    assert "secrets." in body["error"]["message"]
    assert "AKIA" not in str(body)


async def test_a_redacted_answer_says_so(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend("ask jane.doe@firm.com.")
    async with serving(enable_validation=True) as http:
        status, headers, body = await ask(http)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "ask <EMAIL_1>.")
    assert "pii.email" in headers["x-gatewright-warnings"]
    assert "jane" not in str(headers)


async def test_at_lenient_all_goes_through_with_its_warnings(serving: Any, provider: ScriptedProvider) -> None:
    provider.extend(LEAK)
    async with serving(enable_validation=True, validation_level="lenient") as http:
        status, headers, body = await ask(http)
    assert (status, body["choices"][0]["message"]["content"]) == (200, LEAK)
    assert {"pii.email", "secrets"} <= {
        part for part in ("pii.email", "secrets") if part in headers["x-gatewright-warnings"]
    }


async def test_input_that_is_refused_reaches_no_provider(serving: Any, provider: ScriptedProvider) -> None:
    desk = {"name": "desk", "on": ["input"], "blocked_patterns": ["launch codes"]}
    async with serving(enable_validation=True, validation={"guardrails": [desk]}) as http:
        status, headers, _ = await ask(http, "the launch codes, please")
    assert (status, headers["x-gatewright-error"]) == (400, "input_rejected")
    assert provider.calls == []


async def test_a_stream_that_is_blocked_ends_with_the_clients_own_error(
    serving: Any, provider: ScriptedProvider
) -> None:
    provider.extend(LEAK)
    async with serving(enable_validation=True) as http:
        client = openai.AsyncOpenAI(base_url=f"{http._base_url}/v1", api_key="none", max_retries=0)
        said = ""
        with pytest.raises(openai.APIError, match="secrets"):
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
        await client.close()
    assert "AKIA" not in said
