"""Streams as events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.api.events import ChatEvents, CompletionEvents, StreamEvents
from gatewright.types.results import Answer, Chunk, ToolCallDelta
from gatewright.types.usage import Usage

ANSWER = Answer(choices=(), model="from-answer", provider="p")


def read(data: bytes) -> list[Any]:
    events = data.decode().split("\n\n")
    assert events.pop() == ""
    return [event.removeprefix("data: ") for event in events]


def events(kind: type[StreamEvents], chunks: list[Chunk], *, usage: bool = False) -> list[dict[str, Any]]:
    written = kind(chunks[0], ANSWER, "req_1", usage=usage).written(chunks)
    return [json.loads(event) for event in read(written)]


texts = st.text(max_size=20)


@given(st.lists(st.tuples(texts, st.integers(0, 3)), min_size=1, max_size=20), st.booleans())
def test_every_text_arrives_whole_and_each_choice_begins_once(parts: list[tuple[str, int]], usage: bool) -> None:
    found = events(ChatEvents, [Chunk(text=text, index=index) for text, index in parts], usage=usage)
    for index in range(4):
        deltas = [event["choices"][0]["delta"] for event in found if event["choices"][0]["index"] == index]
        assert "".join(delta["content"] for delta in deltas) == "".join(text for text, at in parts if at == index)
        assert ["role" in delta for delta in deltas] == [place == 0 for place in range(len(deltas))]
    assert all(("usage" in event) is usage for event in found)


def test_the_head_is_that_of_the_first_chunk() -> None:
    first = Chunk(text="a", id="x", model="m", created=5, system_fingerprint="fp")
    one, other = events(ChatEvents, [first, Chunk(text="b", id="y", model="n", created=6)])
    head = {"id": "x", "object": "chat.completion.chunk", "created": 5, "model": "m", "system_fingerprint": "fp"}
    assert head.items() <= one.items()
    assert head.items() <= other.items()


def test_what_the_provider_left_out_is_made() -> None:
    (event,) = events(CompletionEvents, [Chunk(text="a")])
    assert event["id"] == "cmpl-1"
    assert event["model"] == "from-answer"
    assert event["created"] > 0


def test_a_choice_ends_in_an_event_of_its_own() -> None:
    tool = ToolCallDelta(index=0, id="c", name="f", arguments="{}")
    one, other = events(ChatEvents, [Chunk(tool_calls=(tool,), finish_reason="tool_calls")])
    assert one["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert one["choices"][0]["finish_reason"] is None
    assert other["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}]


def test_later_parts_of_a_tool_call_do_not_name_it_again() -> None:
    (event,) = events(ChatEvents, [Chunk(tool_calls=(ToolCallDelta(index=1, arguments="{"),))])
    assert event["choices"][0]["delta"]["tool_calls"] == [{"index": 1, "function": {"arguments": "{"}}]


@pytest.mark.parametrize("kind", [ChatEvents, CompletionEvents])
def test_what_only_counts_tokens_is_no_event(kind: type[StreamEvents]) -> None:
    assert events(kind, [Chunk(usage=Usage(total_tokens=5))]) == []


def test_reasoning_and_the_rest_are_in_the_delta() -> None:
    chunk = Chunk(
        reasoning="hm", refusal="no", audio={"data": "A"}, extra={"annotations": [1]}, logprobs={"content": []}
    )
    (event,) = events(ChatEvents, [chunk])
    assert event["choices"][0] == {
        "index": 0,
        "delta": {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "refusal": "no",
            "audio": {"data": "A"},
            "annotations": [1],
        },
        "logprobs": {"content": []},
        "finish_reason": None,
    }


def test_the_end() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert read(ChatEvents(Chunk(), ANSWER, "req_1", usage=False).last(usage)) == ["[DONE]"]
    counted, done = read(ChatEvents(Chunk(), ANSWER, "req_1", usage=True).last(usage))
    assert done == "[DONE]"
    assert json.loads(counted)["choices"] == []
    assert json.loads(counted)["usage"]["total_tokens"] == 3
