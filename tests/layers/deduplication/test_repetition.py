"""A stream asked for anew goes on where another stood, whatever it is made of and however it is cut."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gatewright.layers.deduplication.shared.repetition import Differs, Repetition
from gatewright.types.folding import AnswerFold
from gatewright.types.results import Chunk, ToolCallDelta


def said(letters, *, index, kind, tool=0):
    if kind == "tool":
        return Chunk(index=index, tool_calls=(ToolCallDelta(index=tool, arguments=letters),))
    return Chunk(index=index, **{kind: letters})


@st.composite
def streams(draw):
    """What is said in each field, in one order, as pieces of one letter."""
    fields = draw(
        st.lists(
            st.tuples(st.sampled_from(["text", "reasoning", "refusal", "tool"]), st.integers(0, 1), st.integers(0, 1)),
            min_size=1,
            max_size=5,
            unique_by=lambda field: field if field[0] == "tool" else field[:2],
        )
    )
    return [(kind, index, tool, draw(st.text("abc{}", min_size=1, max_size=6))) for kind, index, tool in fields]


def chunks(stream, cuts, run):
    """Cut what is said into chunks; each run has its own ids for its tool calls."""
    made = []
    for kind, index, tool, text in stream:
        if kind == "tool":
            delta = ToolCallDelta(index=tool, id=f"{run}-{index}-{tool}", name=f"f{tool}")
            made.append(Chunk(index=index, tool_calls=(delta,)))
        at = 0
        for cut in (*cuts, len(text)):
            if piece := text[at : at + cut]:
                made.append(said(piece, index=index, kind=kind, tool=tool))
            at += cut
    return [*made, *(Chunk(index=index, finish_reason="stop") for index in (0, 1))]


def fold_of(parts):
    fold = AnswerFold(model="m", provider="p")
    for part in parts:
        fold.add(part)
    return fold


def folded(parts):
    return fold_of(parts).value()


def tools_without_ids(answer):
    return [
        (one.text, one.reasoning, one.refusal, [(tool.name, tool.arguments) for tool in one.tool_calls])
        for one in answer.choices
    ]


CUTS = st.lists(st.integers(1, 3), max_size=4)


@given(streams(), CUTS, CUTS, st.data())
def test_it_is_the_whole_answer_once(stream, cuts, others, data):
    first = chunks(stream, cuts, "one")
    read = first[: data.draw(st.integers(0, len(first) - 2))]
    repetition = Repetition(fold_of(read))
    rest = [repetition.new_of(chunk) for chunk in chunks(stream, others, "two")]
    repetition.end()
    whole = folded([*read, *rest])
    assert tools_without_ids(whole) == tools_without_ids(folded(first))
    ids = {tool.id for choice in folded(read).choices for tool in choice.tool_calls}
    assert ids <= {tool.id for choice in whole.choices for tool in choice.tool_calls}


@given(streams(), CUTS, st.integers(0, 4), st.data())
def test_another_answer_never_goes_on(stream, cuts, place, data):
    assume(place < len(stream))
    kind, index, tool, text = stream[place]
    other = data.draw(st.text("abc{}", max_size=6))
    assume(not other.startswith(text))
    changed = [*stream[:place], (kind, index, tool, other), *stream[place + 1 :]]
    repetition = Repetition(fold_of(chunks(stream, cuts, "one")[:-2]))

    def read_on():
        for chunk in chunks(changed, cuts, "two"):
            repetition.new_of(chunk)
        repetition.end()

    with pytest.raises(Differs):
        read_on()


def test_another_tool_differs():
    repetition = Repetition(fold_of([Chunk(tool_calls=(ToolCallDelta(index=0, id="a", name="find"),))]))
    with pytest.raises(Differs):
        repetition.new_of(Chunk(tool_calls=(ToolCallDelta(index=0, id="b", name="delete"),)))


@pytest.mark.parametrize("ending", [(), (Chunk(text="no tool", finish_reason="stop"),)])
def test_a_tool_that_was_named_has_to_come_again(ending):
    repetition = Repetition(fold_of([Chunk(tool_calls=(ToolCallDelta(index=0, id="a", name="find"),))]))
    with pytest.raises(Differs):
        [repetition.new_of(chunk) for chunk in ending]
        repetition.end()


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (Chunk(text="d"), True),
        (Chunk(reasoning="hm"), True),
        (Chunk(tool_calls=(ToolCallDelta(index=0, id="b", name="find"),)), True),
        (Chunk(text="d", index=1), False),
        (Chunk(finish_reason="stop"), False),
    ],
)
def test_nothing_comes_after_an_end_that_was_read(more, differs):
    repetition = Repetition(fold_of([Chunk(text="abc"), Chunk(finish_reason="stop")]))
    assert repetition.new_of(Chunk(text="abc")).text == ""
    if differs:
        with pytest.raises(Differs):
            repetition.new_of(more)
    else:
        assert repetition.new_of(more) == more


@pytest.mark.parametrize(
    ("extra", "differs"), [({"thinking_blocks": [{"signature": "x"}]}, True), ({"index": 1, "citations": []}, False)]
)
def test_what_a_second_run_would_be_added_to_is_not_gone_on_with(extra, differs):
    repetition = Repetition(fold_of([Chunk(extra=extra), Chunk(text="abc")]))
    if differs:
        with pytest.raises(Differs):
            repetition.new_of(Chunk(extra=extra))
    else:
        assert repetition.new_of(Chunk(extra=extra)).extra == extra
        assert repetition.new_of(Chunk(text="abcd")).text == "d"


def test_a_voice_is_not_gone_on_with():
    repetition = Repetition(fold_of([Chunk(audio={"data": "UklGRg=="})]))
    with pytest.raises(Differs):
        repetition.new_of(Chunk(audio={"data": "UklGRg=="}))
