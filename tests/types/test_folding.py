from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.results import Answer, Choice, Chunk, ToolCall, ToolCallDelta
from gatewright.types.usage import NO_USAGE, Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


def folded(*chunks: Chunk) -> Answer:
    fold = AnswerFold(model="asked", provider="p", deployment_id="d")
    for chunk in chunks:
        fold.add(chunk)
    return fold.value()


def test_nothing_adds_up_to_an_empty_answer() -> None:
    assert folded() == Answer(choices=[Choice()], model="asked", provider="p", deployment_id="d")


def test_text_reasoning_and_the_rest() -> None:
    answer = folded(
        Chunk(id="1", model="told", created=7, system_fingerprint="f", reasoning="hm"),
        Chunk(text="a", id="1"),
        Chunk(text="b", logprobs={"content": [1]}),
        Chunk(text="c", logprobs={"content": [2]}, finish_reason="stop"),
        Chunk(extra={"annotations": [1], "note": "x"}),
        Chunk(extra={"annotations": [2], "note": "y"}, refusal="no"),
        Chunk(usage=USAGE),
    )
    choice = answer.choices[0]
    assert (answer.id, answer.model, answer.created, answer.system_fingerprint) == ("1", "told", 7, "f")
    assert (choice.text, choice.reasoning, choice.refusal, choice.finish_reason) == ("abc", "hm", "no", "stop")
    assert choice.logprobs == {"content": [1, 2]}
    assert choice.extra == {"annotations": [1, 2], "note": "xy"}
    assert answer.usage == USAGE


def test_tool_calls_grow_by_their_index() -> None:
    answer = folded(
        Chunk(tool_calls=(ToolCallDelta(index=1, id="b", name="second", arguments="{"),)),
        Chunk(tool_calls=(ToolCallDelta(index=0, name="first", arguments="{}"),)),
        Chunk(tool_calls=(ToolCallDelta(index=1, arguments="}"),), finish_reason="tool_calls"),
    )
    assert answer.choices[0].tool_calls == (
        ToolCall(id="call_0", name="first", arguments="{}"),
        ToolCall(id="b", name="second", arguments="{}"),
    )


def test_choices_are_kept_apart_and_in_order() -> None:
    answer = folded(Chunk(text="b", index=1), Chunk(text="a", index=0), Chunk(text="b", index=1))
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "a"), (1, "bb")]


CHOICES = st.lists(
    st.builds(
        Choice,
        text=st.text(),
        finish_reason=st.sampled_from(["stop", "length", "tool_calls"]),
        reasoning=st.none() | st.text(min_size=1),
        tool_calls=st.lists(
            st.builds(ToolCall, id=st.text(min_size=1), name=st.text(min_size=1), arguments=st.text()), max_size=3
        ).map(tuple),
    ),
    min_size=1,
    max_size=3,
).map(lambda choices: [with_index(choice, index) for index, choice in enumerate(choices)])


def with_index(choice: Choice, index: int) -> Choice:
    return Choice(
        index=index,
        text=choice.text,
        finish_reason=choice.finish_reason,
        reasoning=choice.reasoning,
        tool_calls=choice.tool_calls,
    )


@given(choices=CHOICES, usage=st.sampled_from([NO_USAGE, USAGE]))
def test_an_answer_given_as_chunks_adds_up_to_itself(choices: list[Choice], usage: Usage) -> None:
    answer = Answer(choices=choices, model="m", provider="p", deployment_id="d", usage=usage, id="1")
    assert folded(*chunks_of(answer)) == answer


@pytest.mark.parametrize(
    "more",
    [
        {"tool_calls": (ToolCallDelta(index=0, id="c", name="find", arguments="{}"),)},
        {"extra": {"annotations": [1]}},
        {"refusal": "no"},
        {"reasoning": "hm"},
        {"audio": {"data": "UklGRg=="}},
        {"logprobs": {"content": [1]}},
        {"usage": USAGE},
        {"finish_reason": "stop"},
        {"warnings": ("w",)},
    ],
)
def test_what_comes_with_a_text_is_not_lost(more: dict[str, Any]) -> None:
    """It is the same as if it had come in a chunk of its own."""
    assert folded(Chunk(text="Let me look.", **more)) == folded(Chunk(text="Let me look."), Chunk(**more))
