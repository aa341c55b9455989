"""Chats by the official client."""

import json

import openai
import pytest
from pydantic import BaseModel

USER = [{"role": "user", "content": "Good morning"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}


class Verdict(BaseModel):
    good: bool
    reason: str


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=USER)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content.startswith("You said: Good morning")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens == 32


async def test_a_whole_answer_by_the_async_client(async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model="alias", messages=USER)
    assert answer.choices[0].message.content.startswith("You said: Good morning")


def test_a_stream_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="paced", messages=USER).choices[0].message.content
    chunks = list(client.chat.completions.create(model="paced", messages=USER, stream=True))
    assert len(chunks) > 10
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert {(chunk.id, chunk.model, chunk.created, chunk.object) for chunk in chunks} == {
        (chunks[0].id, "paced", chunks[0].created, "chat.completion.chunk")
    }
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_stream_by_the_async_client(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(model="paced", messages=USER, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text.startswith("You said: Good morning")


def test_the_usage_of_a_stream_comes_last_and_only_when_asked(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="small", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    *parts, last = list(stream)
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in parts)
    assert last.choices == []
    assert last.usage.completion_tokens == 32
    assert last.usage.total_tokens == last.usage.prompt_tokens + 32


def test_tools_there_and_back(client: openai.OpenAI) -> None:
    asked = client.chat.completions.create(model="small", messages=USER, tools=[WEATHER], tool_choice="required")
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["days"] == 1
    result = {"role": "tool", "tool_call_id": call.id, "content": "It rains"}
    answer = client.chat.completions.create(model="small", messages=[*USER, message, result], tools=[WEATHER])
    assert answer.choices[0].message.content.startswith("You said: It rains")


def test_streamed_tool_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="small",
        messages=USER,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = answer.choices[0].message.tool_calls
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "text", "days": 1}


def test_parse_into_a_pydantic_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="small", messages=USER, response_format=Verdict)
    assert answer.choices[0].message.parsed == Verdict(good=True, reason="text")


def test_streamed_parse(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="small", messages=USER, response_format=Verdict) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.parsed == Verdict(good=True, reason="text")


def test_json_object(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=USER, response_format={"type": "json_object"})
    assert json.loads(answer.choices[0].message.content) == {"answer": "text"}


def test_several_choices(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=USER, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    texts = ["", ""]
    for chunk in client.chat.completions.create(model="small", messages=USER, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in answer.choices]


@pytest.mark.parametrize("stop", ["morning", ["nothing", "morning"]])
def test_stop(client: openai.OpenAI, stop: str | list[str]) -> None:
    answer = client.chat.completions.create(model="small", messages=USER, stop=stop)
    assert answer.choices[0].message.content == "You said: Good "


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_and_the_other_everyday_parameters(client: openai.OpenAI, limit: str) -> None:
    answer = client.chat.completions.create(
        model="small",
        messages=USER,
        seed=7,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logit_bias={"50256": -100},
        user="someone",
        metadata={"run": "1"},
        **{limit: 3},
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_parts_and_images(client: openai.OpenAI) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    answer = client.chat.completions.create(model="small", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content.startswith("You said: What is this?")


@pytest.mark.parametrize("text", ["naïve 日本語 🙂", '\u2028 \u0000 quote" back\\slash', "e\u0301 👩‍👩‍👧"])
@pytest.mark.parametrize("stream", [False, True])
def test_any_text_comes_back_as_it_was(client: openai.OpenAI, text: str, stream: bool) -> None:
    messages = [{"role": "user", "content": text}]
    answer = client.chat.completions.create(model="small", messages=messages, stream=stream)
    if stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        said = answer.choices[0].message.content
    assert " ".join(text.split()) in " ".join(said.split())


def test_the_raw_response_says_where_it_came_from(client: openai.OpenAI) -> None:
    # Asked by no other test: what another call answered would have been attempted 0 times, for nothing.
    alone = [{"role": "user", "content": "Where do you come from?"}]
    raw = client.chat.completions.with_raw_response.create(model="small", messages=alone)  # type: ignore[arg-type]
    headers = raw.headers
    usage = raw.parse().usage
    assert raw.request_id == headers["x-request-id"]
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-gatewright-provider"] == "simulator"
    assert headers["x-gatewright-model-id"] == "small#0"
    assert headers["x-gatewright-attempts"] == "1"
    assert int(headers["openai-processing-ms"]) >= 0
    cost = usage.prompt_tokens * 0.001 + usage.completion_tokens * 0.002
    assert float(headers["x-gatewright-cost-usd"]) == pytest.approx(cost)


def test_the_raw_stream_says_so_too(client: openai.OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(model="small", messages=USER, stream=True) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        assert raw.headers["x-gatewright-model-id"] == "small#0"
        assert raw.headers["x-request-id"].startswith("req_")
        lines = [line for line in raw.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


async def test_fifty_at_once(async_client: openai.AsyncOpenAI) -> None:
    import asyncio

    async def ask(number: int) -> str:
        messages = [{"role": "user", "content": f"Number {number}"}]
        if number % 2:
            answer = await async_client.chat.completions.create(model="paced", messages=messages)
            return answer.choices[0].message.content
        stream = await async_client.chat.completions.create(model="paced", messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    texts = await asyncio.gather(*(ask(number) for number in range(50)))
    assert [text.startswith(f"You said: Number {number} ") for number, text in enumerate(texts)] == [True] * 50
