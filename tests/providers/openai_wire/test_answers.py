"""What the direct lane makes of an upstream's answers, the good and the malformed."""

from __future__ import annotations

import base64
import json
from array import array
from typing import Any

import pytest

from gatewright.errors import (
    BadRequest,
    ConnectionFailed,
    InvalidProviderResponse,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.providers.http import base
from gatewright.providers.openai_wire import sse as events
from gatewright.types.usage import Usage
from providers.openai_wire.lane import Lane, call
from providers.upstream import CLOSE, RESET, Script, chunk, completion, head, reply, sse, vectors

GOOD = reply(completion())
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


async def test_a_good_answer(lane: Lane):
    answer = await lane.generate()
    assert answer.choices[0].text == "hello"
    assert answer.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert answer.cost_usd == pytest.approx(0.007)
    assert (answer.provider, answer.model, answer.deployment_id) == ("openai", "gpt-4o", "d")


async def test_a_compressed_answer(lane: Lane):
    lane.upstream.play(reply(completion("zipped"), compress=True))
    assert (await lane.generate()).choices[0].text == "zipped"


async def test_an_answer_in_pieces(lane: Lane):
    data = json.dumps(completion("in pieces")).encode()
    pieces = [b"%x\r\n%b\r\n" % (1, data[n : n + 1]) for n in range(len(data))]
    lane.upstream.play([head(content_type="application/json", transfer_encoding="chunked"), *pieces, b"0\r\n\r\n"])
    assert (await lane.generate()).choices[0].text == "in pieces"


MALFORMED: dict[str, Script] = {
    "nothing": reply(b""),
    "HTML with 200": reply(HTML, type_="text/html"),
    "text": reply(b"hello", type_="text/plain"),
    "null": reply(None),
    "a list": reply([]),
    "a number": reply(1),
    "an empty object": reply({}),
    "no choices": reply({"choices": []}),
    "choices that are none": reply({"choices": {"a": 1}}),
    "a choice that is none": reply({"choices": [1]}),
    "a choice of nothing": reply({"choices": [{}]}),
    "text that is a number": reply({"choices": [{"message": {"content": 5}}]}),
    "an index that is text": reply({"choices": [{"index": "0", "message": {"content": "x"}}]}),
    "tool calls that are none": reply({"choices": [{"message": {"tool_calls": {"a": 1}}}]}),
    "usage that is text": reply(completion(usage="lots")),
    "an error that is a list": reply({"error": [1]}),
    "half of the JSON": reply(json.dumps(completion()).encode()[:-20]),
    "NaN": reply(b'{"choices":[{"index":0,"logprobs":{"x":NaN}}]}'),
    "a number out of range": reply(b'{"created": 1e999, "choices": []}'),
    "a number of 5,000 digits": reply(b'{"created": ' + b"9" * 5000 + b', "choices": []}'),
    "very deep JSON": reply(b'{"choices":[{"logprobs":{"a":' + b"[" * 100_000),
    "very deep JSON that nobody reads": reply(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "bytes that are no text": reply(b'{"id": "\xff\xfe"}'),
    "another encoding": reply(json.dumps(completion()).encode("utf-16")),
    "gzip that is none": [head(content_length="5", content_encoding="gzip") + b"hello"],
    "a body cut off": [head(content_type="application/json", content_length="100") + b'{"cho', CLOSE],
    "a body broken off": [head(content_type="application/json", content_length="100") + b'{"cho', 0.01, RESET],
    "a chunked body cut off": [head(transfer_encoding="chunked") + b"5\r\nhel", CLOSE],
    "a chunk without a size": [head(transfer_encoding="chunked") + b"zz\r\nhello\r\n"],
    "no HTTP": [b"220 mail.test ESMTP\r\n\r\n"],
    "a header of 100 kB": [head(content_length="2", x="y" * 100_000) + b"{}"],
    "a redirect": [head(307, location="http://elsewhere.test/", content_length="0")],
    "not modified": [head(304)],
    "no content": [head(204)],
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_malformed_answer_is_an_invalid_one(lane: Lane, name: str, stream: bool):
    lane.upstream.play(MALFORMED[name])
    with pytest.raises(InvalidProviderResponse) as caught:
        await lane.generate(stream=stream)
    assert caught.value.retryable
    lane.upstream.play(GOOD)
    assert (await lane.generate()).choices[0].text == "hello"


@pytest.mark.parametrize("script", [[CLOSE], [RESET], [b"HTTP/1.1 200 OK\r\nContent-", CLOSE]])
async def test_a_connection_that_closes_before_the_answer(lane: Lane, script: Script):
    lane.upstream.play(script)
    with pytest.raises(ConnectionFailed) as caught:
        await lane.generate()
    assert caught.value.retryable


async def test_an_answer_without_end_is_not_read_without_end(lane: Lane, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "MAX_BODY_BYTES", 1_000_000)
    piece = b"10000\r\n%b\r\n" % (b" " * 0x10000)
    lane.upstream.play([head(content_type="application/json", transfer_encoding="chunked"), *[piece] * 400])
    with pytest.raises(InvalidProviderResponse, match="longer than 1000000"):
        await lane.generate()


@pytest.mark.parametrize(
    ("part", "reasoning"),
    [
        ({"type": "thinking", "thinking": "hm"}, "hm"),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"text": "m"}]}, "hm"),
        ({"type": "thinking", "thinking": 5}, None),
        ({"type": "thinking", "thinking": ["x", None]}, None),
        ({"type": "thinking"}, None),
    ],
)
async def test_thinking_in_all_shapes(lane: Lane, part: Any, reasoning: str | None):
    message = {"content": [part, {"type": "text", "text": "yes"}, {"type": "text"}, {}]}
    lane.upstream.play(reply({"choices": [{"message": message}]}))
    choice = (await lane.generate()).choices[0]
    assert (choice.text, choice.reasoning) == ("yes", reasoning)


async def test_what_azure_filtered_away_is_an_empty_answer(lane: Lane):
    lane.upstream.play(reply({"choices": [{"index": 0, "finish_reason": "content_filter"}]}))
    choice = (await lane.generate()).choices[0]
    assert (choice.text, choice.finish_reason) == ("", "content_filter")


# --- streams ---


async def test_a_stream(lane: Lane):
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    lane.upstream.play(sse(chunk(""), chunk("hel"), 0.01, chunk("lo"), chunk(finish="stop"), usage, "[DONE]"))
    answer = await lane.generate(stream=True)
    assert answer.choices[0].text == "hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert answer.cost_usd == pytest.approx(0.007)


async def test_a_stream_that_is_answered_whole(lane: Lane):
    answer = await lane.generate(stream=True)
    assert answer.choices[0].text == "hello"


ENDINGS: dict[str, Script] = {
    "no [DONE]": sse(chunk("hello"), chunk(finish="stop")),
    "no empty line at the end": sse(chunk("hello"), b'data: {"choices":[{"index":0,"finish_reason":"stop"}]}'),
    "cut off after the last word": sse(chunk("hello"), chunk(finish="stop"), 0.02, CLOSE),
    "broken off after the last word": sse(chunk("hello"), chunk(finish="stop"), 0.02, RESET),
    "cut off with the last word": sse(chunk("hello"), chunk(finish="stop"), CLOSE),
    "more after [DONE]": sse(chunk("hello"), chunk(finish="stop"), "[DONE]", "garbage", chunk("more")),
    "no end after [DONE]": sse(chunk("hello"), chunk(finish="stop"), "[DONE]", end=False),
    "no finish reason": sse(chunk("hello"), "[DONE]"),
    "an empty error": sse(chunk("hello", error=""), chunk(finish="stop", error=None), "[DONE]"),
    "comments and pings": sse(b": ping\n\n", chunk("hello"), b"event: ping\n\n", b": x\n\n", "[DONE]"),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_stream_that_ends_well_enough(lane: Lane, name: str):
    lane.upstream.play(ENDINGS[name])
    answer = await lane.generate(stream=True)
    assert answer.choices[0].text == "hello"
    assert answer.usage.source == "estimated"


CUT_SHORT: dict[str, Script] = {
    "nothing at all": sse(),
    "only [DONE]": sse("[DONE]"),
    "only a role": sse({"choices": [{"delta": {"role": "assistant"}}]}, "[DONE]"),
    "text that is no event": sse(b"hello\n\n"),
    "HTML": sse(HTML, type_="text/html; charset=utf-8"),
    "HTML that says it is events": sse(HTML),
    "garbage": sse("{garbage"),
    "an event cut in two": sse(b'data: {"choices":[{"delta":{"cont'),
    "an event of another shape": sse({"choices": "x"}),
    "a list": sse("[]"),
    "very deep JSON": sse('{"x":' + "[" * 100_000),
    "bytes that are no text": sse(b'data: {"id":"\xff"}\n\n'),
}


@pytest.mark.parametrize("name", CUT_SHORT)
async def test_a_stream_that_never_was_fails_before_it_begins(lane: Lane, name: str):
    lane.upstream.play(CUT_SHORT[name])
    with pytest.raises(InvalidProviderResponse):
        await lane.provider()(call(stream=True))


async def test_a_stream_of_nothing_but_its_usage_is_no_answer(lane: Lane):
    lane.upstream.play(sse({"choices": [], "usage": {"prompt_tokens": 1}}, "[DONE]"))
    with pytest.raises(InvalidProviderResponse, match="no choices"):
        await lane.generate(stream=True)


LATER: dict[str, Script] = {
    "an end in the middle": sse(chunk("hel")),
    "a cut in the middle": sse(chunk("hel"), 0.02, CLOSE),
    "a break in the middle": sse(chunk("hel"), 0.02, RESET),
    "a cut with the text": sse(chunk("hel"), CLOSE),
    "garbage": sse(chunk("hel"), "{garbage", "[DONE]"),
    "one of two choices": sse(chunk("hel"), chunk("x", index=1), chunk(index=1, finish="stop")),
    "two choices in one event": sse(
        chunk("hel"), {"choices": [{"index": 1, "finish_reason": "stop"}, {"index": 0, "delta": {"content": ""}}]}
    ),
}


@pytest.mark.parametrize("name", LATER)
async def test_a_stream_that_fails_later_gives_what_came_and_the_error(lane: Lane, name: str):
    lane.upstream.play(LATER[name])
    stream = await lane.provider()(call(stream=True))
    with pytest.raises((InvalidProviderResponse, ConnectionFailed)):
        await stream.value()
    assert stream.outcome is not None
    assert stream.outcome.value.choices[0].text == "hel"


async def test_an_error_in_a_stream_has_its_own_type(lane: Lane):
    lane.upstream.play(sse(chunk("hel"), {"error": {"message": "slow down", "code": 429}}))
    stream = await lane.provider()(call(stream=True))
    with pytest.raises(RateLimited, match="slow down"):
        await stream.value()


async def test_an_error_answer_to_a_stream(lane: Lane):
    lane.upstream.play(reply({"error": {"message": "no"}}, 400))
    with pytest.raises(BadRequest):
        await lane.provider()(call(stream=True))


async def test_html_with_an_error_status_is_that_status(lane: Lane):
    lane.upstream.play(reply(HTML, 502, type_="text/html"))
    with pytest.raises(ProviderUnavailable, match="502"):
        await lane.generate()


async def test_an_event_without_end_is_not_read_without_end(lane: Lane, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 100_000)
    lane.upstream.play(sse(b"data: ", *[b"x" * 50_000] * 10))
    with pytest.raises(InvalidProviderResponse, match="longer than"):
        await lane.generate(stream=True)


# --- vectors ---


def packed(*numbers: float) -> str:
    return base64.b64encode(array("f", numbers).tobytes()).decode()


async def test_vectors_come_in_the_order_of_their_inputs(lane: Lane):
    data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": packed(1.0, 0.0)}]
    lane.upstream.play(reply({"data": data, "usage": {"prompt_tokens": 2}}))
    found = await lane.embed("a", "b")
    assert found.vectors == [[1.0, 0.0], [0.0, 1.0]]
    assert lane.upstream.asked[0].body["encoding_format"] == "base64"


@pytest.mark.parametrize("places", [(None, None), (0, 0)])
async def test_vectors_without_numbers_are_in_order(lane: Lane, places: tuple[Any, Any]):
    data = [{"index": place, "embedding": [float(n), 1.0]} for n, place in enumerate(places)]
    lane.upstream.play(reply({"data": data}))
    assert (await lane.embed("a", "b")).vectors == [[0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": None},
        vectors([1.0]),
        vectors([1.0], [1.0], [1.0]),
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"embedding": [1.0]}]},
        vectors([1.0], []),
        vectors([1.0], ["x"]),
        vectors([1.0], {"a": 1}),  # type: ignore[arg-type]
        vectors([1.0], "not base64!"),
        vectors([1.0], "!!!!"),
        vectors([1.0], "ünï"),
        vectors([1.0], base64.b64encode(b"12345").decode()),
        vectors([1.0], packed(float("nan"), 1.0)),
        vectors([1.0], packed(float("inf"), float("-inf"))),
        {"data": [{"index": 0}, {"index": 1}]},
        {"data": {"index": 0}},
    ],
)
async def test_vectors_that_are_missing_or_none_are_an_invalid_answer(lane: Lane, body: Any):
    lane.upstream.play(reply(body))
    with pytest.raises(InvalidProviderResponse):
        await lane.embed("a", "b")


async def test_an_error_instead_of_vectors(lane: Lane):
    lane.upstream.play(reply({"error": {"message": "no", "code": "rate_limit_exceeded"}}))
    with pytest.raises(RateLimited):
        await lane.embed("a")


async def test_perplexitys_bytes(lane: Lane):
    lane.upstream.play(reply(vectors(base64.b64encode(bytes([1, 255, 0])).decode())))
    assert (await lane.embed("a", provider="perplexity")).vectors == [[1.0, -1.0, 0.0]]
