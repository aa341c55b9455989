"""The SSE parser gives what the standard's own reading gives, whatever the pieces that the bytes come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.providers.openai_wire import sse
from gatewright.providers.openai_wire.sse import EventStream

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6)
LINES = st.one_of(
    st.builds("data: {}".format, TEXT),
    st.builds("data:{}".format, TEXT),
    st.just("data"),
    st.builds(": {}".format, TEXT),
    st.builds("event: {}".format, TEXT),
    st.builds("id: {}".format, TEXT),
    st.just("retry: 10"),
    st.builds("dataset: {}".format, TEXT),
    st.builds(" data: {}".format, TEXT),
    st.just(""),
)
STREAMS = st.builds(
    lambda bom, lines: (b"\xef\xbb\xbf" if bom else b"") + "".join(line + end for line, end in lines).encode(),
    st.booleans(),
    st.lists(st.tuples(LINES, ENDS), max_size=12),
)


def reference(stream: bytes) -> tuple[list[bytes], bytes]:
    """Read a stream line by line as section 9.2.6 has it; the data of an event that was not closed comes second."""
    text = stream.decode().removeprefix("\ufeff")
    data: list[str] = []
    events: list[bytes] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    unfinished = lines.pop()
    for line in lines:
        if line == "":
            events += ["\n".join(data).encode()] if data else []
            data = []
        elif not line.startswith(":"):
            _take(line, data)
    _take(unfinished, data)
    return [event for event in events if event], "\n".join(data).encode()


def _take(line: str, data: list[str]) -> None:
    field, _, value = line.partition(":")
    if field == "data":
        data.append(value.removeprefix(" "))


def fed(pieces: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    events = EventStream()
    return [payload for piece in pieces for payload in events.feed(piece)], events.end()


@given(STREAMS, st.data())
def test_any_pieces_give_what_the_standard_says(stream: bytes, data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    events, rest = reference(stream)

    assert fed(pieces) == (events, [rest] if rest else [])


@given(STREAMS)
def test_one_byte_at_a_time_is_as_good_as_all_at_once(stream: bytes):
    assert fed([bytes([byte]) for byte in stream]) == fed([stream])


@given(STREAMS)
def test_every_single_cut_gives_the_same(stream: bytes):
    whole = fed([stream])
    assert all(fed([stream[:place], stream[place:]]) == whole for place in range(len(stream) + 1))


def test_an_event_is_given_with_the_bytes_that_close_it_whatever_the_line_ends():
    for end in (b"\n", b"\r\n", b"\r"):
        assert EventStream().feed(b"data: x" + end + end) == [b"x"]


def test_a_last_event_without_its_empty_line_is_given_at_the_end_and_once():
    events = EventStream()

    assert events.feed(b"data: [DONE]") == []
    assert events.end() == [b"[DONE]"]
    assert events.end() == []


def test_a_byte_order_mark_alone_is_nothing():
    assert fed([b"\xef", b"\xbb", b"\xbf"]) == ([], [])


def test_a_byte_order_mark_in_the_middle_is_text():
    assert fed([b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"]) == ([b"a"], [])


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    events = EventStream()
    events.feed(b"data: ")

    with pytest.raises(ValueError, match="longer than"):
        for _ in range(100):
            events.feed(b"x" * 100)


def test_a_long_event_costs_what_its_length_is():
    """Each byte is copied a bounded number of times: what is held is joined only when a line ends."""
    events = EventStream()
    events.feed(b"data: ")
    piece = b"x" * 65536

    for _ in range(200):
        events.feed(piece)
        assert events._held[-1] is piece  # pyright: ignore[reportPrivateUsage]

    assert len(events.feed(b"\n\n")[0]) == 200 * 65536
