"""What goes over the wire: asserted on what the upstream received."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from gatewright.errors import AuthenticationFailed, BadRequest, ConfigurationError, UnsupportedParameter
from gatewright.providers.openai_wire.address import Address
from providers.openai_wire.lane import Lane, call
from providers.upstream import chunk, sse

EVERYTHING: dict[str, Any] = {
    "temperature": 0.25,
    "top_p": 0.9,
    "n": 2,
    "seed": 7,
    "stop": ["\n", "end"],
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100},
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "user": "u-1",
    "reasoning_effort": "low",
    "max_completion_tokens": 77,
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": True}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "metadata": {"a": "ü"},
    "something_new": {"deep": [1, 2.5, None, True]},
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "developer", "content": "be brief"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "what is this? \u2028 🎉"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        ],
    },
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "42"},
]


async def sent(lane: Lane, **more: Any) -> dict[str, Any]:
    await lane.generate(**more)
    return lane.upstream.asked[-1].body


async def test_everything_goes_through_as_it_is(lane: Lane):
    assert await sent(lane, params=EVERYTHING, messages=MESSAGES) == {
        **EVERYTHING,
        "model": "gpt-4o",
        "messages": MESSAGES,
    }


async def test_a_deployments_params_are_defaults(lane: Lane):
    body = await sent(lane, params={"temperature": 1.0})
    assert body["temperature"] == 1.0
    provider = lane.provider(params={"temperature": 0.1, "seed": 3})
    await provider(call({"temperature": 1.0}))
    assert {"temperature": 1.0, "seed": 3}.items() <= lane.upstream.asked[-1].body.items()


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-nano"])
async def test_reasoning_models_get_their_limit_by_the_name_they_know(lane: Lane, model: str):
    body = await sent(lane, model=model, params={"max_tokens": 5})
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


async def test_other_models_keep_the_old_name(lane: Lane):
    assert (await sent(lane, params={"max_tokens": 5}))["max_tokens"] == 5


async def test_mistral_gets_its_own_names(lane: Lane):
    body = await sent(lane, provider="mistral", params={"seed": 1, "max_completion_tokens": 9})
    assert (body["random_seed"], body["max_tokens"]) == (1, 9)
    assert not {"seed", "max_completion_tokens"} & body.keys()


async def test_of_both_names_the_providers_own_wins(lane: Lane):
    body = await sent(lane, provider="mistral", params={"max_tokens": 1, "max_completion_tokens": 9})
    assert body["max_tokens"] == 1
    assert "max_completion_tokens" not in body


async def test_what_a_provider_does_not_know_is_refused_by_name(lane: Lane):
    with pytest.raises(UnsupportedParameter, match="logit_bias") as caught:
        await lane.generate(provider="mistral", params={"logit_bias": {}})
    assert caught.value.param == "logit_bias"
    assert lane.upstream.asked == []


@pytest.mark.parametrize(("configured", "asked"), [(True, None), (False, True), (True, True)])
async def test_or_dropped(lane: Lane, configured: bool, asked: bool | None):
    params = {"logit_bias": {}, "seed": 1}
    await lane.provider(provider="mistral", drop=configured)(call(params, drop=asked))
    body = lane.upstream.asked[-1].body
    assert "logit_bias" not in body
    assert body["random_seed"] == 1


async def test_a_call_can_refuse_what_the_configuration_would_drop(lane: Lane):
    with pytest.raises(UnsupportedParameter):
        await lane.provider(provider="mistral", drop=True)(call({"logit_bias": {}}, drop=False))


async def test_extra_headers_and_body(lane: Lane):
    await lane.generate(
        headers={"X-Team": "blue", "X-Who": "config"},
        params={"extra_headers": {"X-Who": "caller"}, "extra_body": {"top_k": 4, "model": "evil"}},
    )
    asked = lane.upstream.asked[-1]
    assert (asked.headers["x-team"], asked.headers["x-who"]) == ("blue", "caller")
    assert (asked.body["top_k"], asked.body["model"]) == (4, "gpt-4o")
    assert not {"extra_headers", "extra_body"} & asked.body.keys()


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"extra_headers": "x"}, "extra_headers"),
        ({"extra_headers": {"X": 1}}, "extra_headers"),
        ({"extra_headers": {"X": "a\r\nEvil: b"}}, "extra_headers"),
        ({"extra_headers": {"X\n": "a"}}, "extra_headers"),
        ({"extra_body": [1]}, "extra_body"),
        ({"temperature": object()}, "JSON"),
        ({"metadata": {(1, 2): 3}}, "JSON"),
        ({"user": "\ud800"}, "JSON"),
    ],
)
async def test_what_cannot_be_sent_is_a_bad_request_that_names_it(lane: Lane, params: dict[str, Any], named: str):
    with pytest.raises(BadRequest, match=named):
        await lane.generate(params=params)
    assert lane.upstream.asked == []


async def test_what_holds_itself_is_a_bad_request(lane: Lane):
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BadRequest, match="JSON"):
        await lane.generate(params={"metadata": circle})


async def test_stream_options_that_are_none_are_a_bad_request(lane: Lane):
    with pytest.raises(BadRequest, match="stream_options"):
        await lane.generate(stream=True, params={"stream_options": "usage"})


async def test_a_whole_answer_is_asked_for_whole_whatever_the_extra_body_says(lane: Lane):
    assert "stream" not in await sent(lane, params={"extra_body": {"stream": True}})


async def test_azure_has_addresses_and_a_header_of_its_own(lane: Lane):
    await lane.generate(
        provider="azure", model="my gpt/4", base_url=lane.upstream.url, settings={"api_version": "2025-01-01"}
    )
    asked = lane.upstream.asked[-1]
    assert asked.path == "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2025-01-01"
    assert asked.headers["api-key"].startswith("sk-test")
    assert "authorization" not in asked.headers


async def test_azures_new_address_is_openais(lane: Lane):
    await lane.generate(provider="azure", base_url=f"{lane.upstream.url}/openai/v1/")
    assert lane.upstream.asked[-1].path == "/openai/v1/chat/completions"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/v1//", "/v1/chat/completions"),
        ("/a/b/v1", "/a/b/v1/chat/completions"),
        ("/v1?tenant=7", "/v1/chat/completions?tenant=7"),
        ("/v1/?tenant=7&x=%20", "/v1/chat/completions?tenant=7&x=%20"),
    ],
)
async def test_base_urls_of_all_kinds(lane: Lane, base: str, path: str):
    await lane.generate(base_url=lane.upstream.url + base)
    assert lane.upstream.asked[-1].path == path


def test_an_api_version_in_the_base_url_is_kept():
    address = Address.of("https://x.test/?api-version=1", "d", has_key=True)
    assert address.at("/p", {"api-version": "2"}) == "https://x.test/p?api-version=1"


def test_an_ipv6_base_url():
    assert Address.of("http://[::1]:8080/v1", "d", has_key=True).at("/p") == "http://[::1]:8080/v1/p"


@pytest.mark.parametrize("url", ["localhost:1234/v1", "ftp://x/v1", "http://", "http://[::1", "http://x:99999/", "x"])
def test_what_is_no_http_address_is_a_configuration_error(lane: Lane, url: str):
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        lane.provider(base_url=url)
    assert caught.value.param == "base_url"


def test_an_address_with_a_user_and_a_key_beside_it_is_refused_without_showing_it(lane: Lane):
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        lane.provider(base_url="http://me:hidden@x.test/v1")
    assert "hidden" not in str(caught.value)


async def test_a_key_from_a_file_with_its_line_end(lane: Lane):
    await lane.generate(api_key=SecretStr("  sk-abc\n"))
    assert lane.upstream.asked[-1].headers["authorization"] == "Bearer sk-abc"


def test_a_key_that_no_header_can_have_is_a_configuration_error(lane: Lane):
    with pytest.raises(ConfigurationError) as caught:
        lane.provider(api_key=SecretStr("sk-abc\nX-Evil: sk-def"))
    assert "sk-" not in str(caught.value)


def test_no_key_says_what_to_set(lane: Lane):
    with pytest.raises(AuthenticationFailed, match="OPENAI_API_KEY"):
        lane.provider(api_key=None)


async def test_none_is_needed_where_none_is(lane: Lane):
    await lane.generate(provider="openai_compatible", api_key=None)
    assert "authorization" not in lane.upstream.asked[-1].headers


async def test_a_large_request_goes_through(lane: Lane):
    """aiohttp warns of bodies above 1 MiB that are written at once; warnings are errors here."""
    text = "x" * (3 * 1024 * 1024)
    body = await sent(lane, messages=[{"role": "user", "content": text}])
    assert body["messages"][0]["content"] == text


async def test_a_stream_asks_for_its_usage_where_the_provider_has_to_be_asked(lane: Lane):
    lane.upstream.play(sse(chunk("x", finish="stop"), "[DONE]"))
    body = await sent(lane, stream=True, params={"stream_options": {"include_obfuscation": False}})
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    body = await sent(lane, stream=True, provider="perplexity")
    assert "stream_options" not in body
