"""From arguments to a call: what goes through, and what is refused before anything is sent."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pydantic import BaseModel

from gatewright import GatewayConfig, create_gateway
from gatewright.clock import MONOTONIC
from gatewright.errors import BadRequest, ConfigurationError, InvalidProviderResponse, NotFound
from gatewright.gateway.requests import CallMaker
from gatewright.testing import ScriptedProvider
from gatewright.types.results import Answer, Choice, ToolCall
from gatewright.types.usage import Usage

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": 5}, "prompt"),
    ({"prompt": b"x"}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"messages": []}, "prompt"),
    ({"messages": "hello"}, "messages"),
    ({"messages": {"role": "user"}}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "robot"}]}, "messages[1].role"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
    ({"prompt": [{"role": "user", "content": "a"}], "messages": [{"role": "user", "content": "a"}]}, "messages"),
    ({"model": 5}, "model"),
    ({"timeout": float("nan")}, "timeout"),
    ({"timeout": float("inf")}, "timeout"),
    ({"timeout": -1}, "timeout"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"timeout": "5"}, "timeout"),
    ({"max_retries": -1}, "max_retries"),
    ({"max_retries": 1.5}, "max_retries"),
    ({"max_retries": True}, "max_retries"),
    ({"fallbacks": "other"}, "fallbacks"),
    ({"fallbacks": [5]}, "fallbacks"),
    ({"fallbacks": 5}, "fallbacks"),
    ({"drop_params": "yes"}, "drop_params"),
    ({"continue_streams": 1}, "continue_streams"),
    ({"tenant_id": ""}, "tenant_id"),
    ({"tenant_id": 5}, "tenant_id"),
    ({"session": 5}, "session"),
    ({"tags": "abc"}, "tags"),
    ({"tags": [1]}, "tags"),
    ({"tags": 5}, "tags"),
    ({"response_format": 5}, "response_format"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": int}, "response_format"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("given", "field"), WRONG, ids=lambda one: str(one)[:60])
async def test_wrong_input_is_a_bad_request_that_names_it(
    gateway_of: Any, given: dict[str, Any], field: str, streamed: bool
) -> None:
    provider = ScriptedProvider([])
    arguments = {} if {"prompt", "messages"} & set(given) else {"prompt": "x"}
    async with gateway_of(provider) as gateway:
        with pytest.raises(BadRequest) as raised:
            if streamed:
                gateway.generate_stream(**arguments, **given)
            else:
                await gateway.generate_async(**arguments, **given)
    assert raised.value.param == field
    assert field in str(raised.value)
    assert not raised.value.retryable
    assert provider.calls == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"texts": 5}, "texts"),
        ({"texts": None}, "texts"),
        ({"texts": [1, 2]}, "texts[0]"),
        ({"texts": ["a", None]}, "texts[1]"),
        ({"texts": ["a", ["b"]]}, "texts[1]"),
        ({"texts": b"abc"}, "texts"),
        ({"texts": {"a": 1}}, "texts"),
        ({"texts": "a", "model": 5}, "model"),
        ({"texts": "a", "timeout": -1}, "timeout"),
        ({"texts": "a", "tenant_id": ""}, "tenant_id"),
    ],
)
async def test_wrong_texts_are_a_bad_request_that_names_them(
    gateway_of: Any, given: dict[str, Any], field: str
) -> None:
    provider = ScriptedProvider([])
    async with gateway_of(provider) as gateway:
        with pytest.raises(BadRequest) as raised:
            await gateway.embed_async(**given)
    assert raised.value.param == field
    assert provider.calls == []


async def test_without_a_model_and_without_a_default(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([]), default_model=None) as gateway:
        with pytest.raises(BadRequest, match="default_model") as raised:
            await gateway.generate_async("x")
        assert raised.value.param == "model"
        with pytest.raises(BadRequest, match="default_embedding_model"):
            await gateway.embed_async("x")


def test_where_nothing_is_named_the_first_provider_with_a_key_is_asked_its_usual_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    assert _asked(GatewayConfig()) is None
    monkeypatch.setenv("MISTRAL_API_KEY", "test")
    monkeypatch.setenv("VOYAGE_API_KEY", "test")
    assert _asked(GatewayConfig()) == "mistral/mistral-small-latest"
    assert _asked(GatewayConfig(providers=["openai"])) == "openai/gpt-4o-mini"
    assert _asked(GatewayConfig(default_model="mine")) == "mine"
    entry = {"model_name": "m", "litellm_params": {"model": "openai/m"}}
    assert _asked(GatewayConfig(model_list=[entry])) is None


def _asked(config: GatewayConfig) -> str | None:
    try:
        return CallMaker(config, MONOTONIC).generation("x", None, None, None, {})[0].request.model
    except BadRequest:
        return None


async def test_an_unknown_model_is_not_found_and_names_the_nearest(gateway_of: Any) -> None:
    async with gateway_of(ScriptedProvider([])) as gateway:
        with pytest.raises(NotFound, match=r"no model 'mm'.*did you mean 'm'") as raised:
            await gateway.generate_async("x", model="mm")
    assert raised.value.status == 404


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"providers": "simulator"}, "providers"),
        ({"providers": ["simulator"], "fallbacks": "x"}, "fallbacks"),
        ({"providers": ["simulator"], "api_keys": ["sk-secret-123"]}, "api_keys"),
        ({"providers": ["simulator"], "timeout": -1}, "timeout"),
        ({"providers": ["simulator"], "max_retries": "x"}, "max_retries"),
        ({"providers": ["simulator"], "max_retry": 1}, "max_retry"),
        ({"providers": ["simulator"], "default_model": "openai/gpt-4o"}, "default_model"),
    ],
)
def test_a_wrong_setting_is_a_configuration_error_that_names_it(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field) as raised:
        create_gateway(**settings)
    assert "sk-secret" not in str(raised.value)


# What goes through


async def _sent(gateway_of: Any, *args: Any, **kwargs: Any) -> Any:
    provider = ScriptedProvider(["ok"])
    async with gateway_of(provider) as gateway:
        await gateway.generate_async(*args, **kwargs)
    return provider.calls[0]


async def test_messages_of_every_kind_go_through_as_they_are(gateway_of: Any) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f1"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]
    call = await _sent(gateway_of, messages=messages)
    assert list(call.request.messages) == messages
    as_prompt = await _sent(gateway_of, messages)
    assert list(as_prompt.request.messages) == messages
    both = await _sent(gateway_of, "and now?", messages=messages)
    assert list(both.request.messages) == [*messages, {"role": "user", "content": "and now?"}]


async def test_parameters_and_the_caller_go_their_ways(gateway_of: Any) -> None:
    call = await _sent(
        gateway_of,
        "x",
        tenant_id="t",
        user="u",
        session="s",
        tags=["a", "b"],
        timeout=5,
        max_retries=1,
        fallbacks=[],
        temperature=0.5,
        tools=[{"type": "function"}],
        n=2,
        seed=1,
        stop=None,
        safe_prompt=True,
    )
    assert call.request.params == {
        "user": "u",
        "temperature": 0.5,
        "tools": [{"type": "function"}],
        "n": 2,
        "seed": 1,
        "safe_prompt": True,
    }
    assert (call.caller.tenant_id, call.caller.user, call.caller.session) == ("t", "u", "s")
    assert call.caller.tags == ("a", "b")
    assert call.deadline == call.started_at + 5
    assert (call.options.max_retries, call.options.fallbacks) == (1, ())


async def test_a_timeout_of_none_is_no_deadline(gateway_of: Any) -> None:
    assert (await _sent(gateway_of, "x", timeout=None)).deadline is None
    call = await _sent(gateway_of, "x")
    assert call.deadline == call.started_at + 600


# What comes back


async def test_a_response_has_every_documented_field(gateway_of: Any, upstream: Any) -> None:
    params = {"input_cost_per_token": 1.0, "output_cost_per_token": 2.0}
    async with gateway_of(upstream, params=params) as gateway:
        response = await gateway.generate_async("hello")
    assert (response.text, str(response)) == ("hello", "hello")
    assert (response.model, response.provider) == ("m-2026", "openai")
    assert response.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert response.finish_reason == "stop"
    assert response.tool_calls == ()
    assert response.cost_usd == 7.0
    assert response.latency_ms > 0
    assert response.request_id.startswith("req_")
    assert (response.cached, response.attempts) == (False, 1)
    assert response.raw_response["id"] == "chatcmpl-1"
    assert response.parsed is None


async def test_n_answers_are_all_there() -> None:
    async with create_gateway(["simulator"], "simulator/m") as gateway:
        response = await gateway.generate_async("x", n=3)
        assert [choice.index for choice in response.choices] == [0, 1, 2]
        assert response.text == response.choices[0].text


class Street(BaseModel):
    name: str
    number: int = 1


class Person(BaseModel):
    name: str
    street: Street
    friends: list[Street] = []


def _answer(**choice: Any) -> Answer:
    return Answer(choices=[Choice(**choice)], model="m", provider="own")


async def test_a_pydantic_class_gives_a_parsed_response(gateway_of: Any) -> None:
    text = '{"name": "Ada", "street": {"name": "Elm", "number": 2}, "friends": [{"name": "Oak"}]}'
    provider = ScriptedProvider([text])
    async with gateway_of(provider) as gateway:
        response = await gateway.generate_async("x", response_format=Person)
    assert response.parsed == Person(name="Ada", street=Street(name="Elm", number=2), friends=[Street(name="Oak")])
    sent = provider.calls[0].generation.params["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    schema = sent["json_schema"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Street"]["required"] == ["name", "number"]


async def test_an_openai_response_format_goes_through_and_is_not_parsed(gateway_of: Any) -> None:
    provider = ScriptedProvider(["{}"])
    async with gateway_of(provider) as gateway:
        response = await gateway.generate_async("x", response_format={"type": "json_object"})
    assert response.parsed is None
    assert provider.calls[0].generation.params["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("text", ["no JSON", '{"name": "Elm", "number": "x"}', "", '{"name": "El'])
async def test_an_answer_of_another_form_is_an_invalid_response(gateway_of: Any, text: str) -> None:
    provider = ScriptedProvider([_answer(text=text)])
    async with gateway_of(provider) as gateway:
        with pytest.raises(InvalidProviderResponse, match="not a Street") as raised:
            await gateway.generate_async("x", response_format=Street)
    error = raised.value
    assert (error.provider, error.model, error.request_id) == ("own", "m", provider.calls[0].id)


@pytest.mark.parametrize(
    "choice", [{"refusal": "I will not"}, {"tool_calls": (ToolCall(id="c", name="f", arguments="{}"),)}]
)
async def test_a_refusal_and_a_tool_call_are_answers_of_another_kind(gateway_of: Any, choice: dict[str, Any]) -> None:
    async with gateway_of(ScriptedProvider([_answer(**choice)])) as gateway:
        response = await gateway.generate_async("x", response_format=Street)
    assert response.parsed is None
    assert (response.refusal, response.tool_calls) == (choice.get("refusal"), choice.get("tool_calls", ()))
