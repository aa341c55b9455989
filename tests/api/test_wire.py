"""Whole answers on the wire."""

import base64
import json
import struct
from array import array

import pytest

from gatewright.api.errors import KeyNotAccepted, error_body, error_headers
from gatewright.api.headers import answer_headers, header
from gatewright.api.wire import chat_json, embeddings_json, usage_json
from gatewright.errors import BadRequest, ContextWindowExceeded, DeadlineExceeded, RateLimited
from gatewright.types.responses import EmbedResponse, GenerateResponse
from gatewright.types.results import Choice, ToolCall
from gatewright.types.usage import Usage


def response(choice: Choice, **fields: object) -> GenerateResponse:
    return GenerateResponse(model="m", provider="p", choices=[choice], request_id="req_1", **fields)


def message(choice: Choice) -> dict:
    return json.loads(chat_json(response(choice)))["choices"][0]["message"]


def test_content_is_null_where_something_else_is_said() -> None:
    assert message(Choice(text=""))["content"] == ""
    assert message(Choice(refusal="no"))["content"] is None
    assert message(Choice(tool_calls=(ToolCall(id="c", name="f", arguments="{}"),)))["content"] is None


def test_what_the_provider_added_cannot_replace_what_is_ours() -> None:
    assert message(Choice(text="x", extra={"role": "system", "thinking_blocks": []})) == {
        "role": "assistant",
        "thinking_blocks": [],
        "content": "x",
        "refusal": None,
    }


def test_an_answer_has_an_id_a_time_and_a_reason() -> None:
    body = json.loads(chat_json(response(Choice(text="x"))))
    assert body["id"] == "chatcmpl-1"
    assert body["created"] > 0
    assert body["choices"][0]["finish_reason"] == "stop"
    assert "system_fingerprint" not in body
    fields = {"id": "a", "created": 5, "system_fingerprint": "fp"}
    assert fields.items() <= json.loads(chat_json(response(Choice(), **fields))).items()


def test_usage_is_nested_as_openai_nests_it() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=5, total_tokens=14, cached_tokens=4, reasoning_tokens=2)
    assert usage_json(usage) == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert usage_json(Usage(cache_write_tokens=3))["prompt_tokens_details"]["cache_write_tokens"] == 3


@pytest.mark.parametrize("vector", [[0.5, -0.25], array("f", [0.5, -0.25]), (0.5, -0.25)])
def test_vectors_as_numbers_and_as_base64(vector: object) -> None:
    answer = EmbedResponse(embeddings=[vector], model="m", provider="p", request_id="req_1")
    numbers = json.loads(embeddings_json(answer, base64=False))
    assert numbers["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
    packed = json.loads(embeddings_json(answer, base64=True))["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.5, -0.25)


@pytest.mark.parametrize(
    ("cost", "written"), [(0.0, "0"), (0.00000123, "0.00000123"), (1.5, "1.5"), (1e-12, "0"), (20.0, "20")]
)
def test_the_cost_is_written_as_a_plain_number(cost: float, written: str) -> None:
    assert dict(answer_headers(response(Choice(), cost_usd=cost)))[b"x-gatewright-cost-usd"] == written.encode()


def test_no_cost_where_it_is_not_known() -> None:
    assert b"x-gatewright-cost-usd" not in dict(answer_headers(response(Choice())))


@pytest.mark.parametrize("value", ["a\r\nb: c", "ü", "\x00", "\u2028"])
def test_a_header_holds_whatever_it_is_given(value: str) -> None:
    assert header("x", value)[1].isascii()
    assert not set(header("x", value)[1]) & set(b"\r\n\0")


def test_a_plain_header_stays_as_it_is() -> None:
    assert header("x", "openai/gpt-4o#0 [a]") == (b"x", b"openai/gpt-4o#0 [a]")


def test_errors_are_in_openais_words() -> None:
    error = ContextWindowExceeded("too long", provider="openai", model="gpt", param="messages")
    assert error_body(error) == {
        "error": {
            "message": "too long [openai/gpt]",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
            "param": "messages",
        }
    }
    assert dict(error_headers(error, "req_9"))[b"x-gatewright-error"] == b"context_window_exceeded"


def test_an_error_says_whether_to_come_back() -> None:
    limited = dict(error_headers(RateLimited("later", retry_after=1.2345, request_id="req_1"), "req_9"))
    assert limited[b"x-request-id"] == b"req_1"
    assert limited[b"retry-after"] == b"2"
    assert limited[b"retry-after-ms"] == b"1235"
    assert b"x-should-retry" not in limited
    for error in (DeadlineExceeded("late"), RateLimited("no quota", retryable=False)):
        assert dict(error_headers(error, "req_9"))[b"x-should-retry"] == b"false"
    # What clients do not try again anyway needs no telling.
    assert b"x-should-retry" not in dict(error_headers(BadRequest("no"), "req_9"))


def test_a_missing_key_is_asked_for() -> None:
    assert (b"www-authenticate", b"Bearer") in error_headers(KeyNotAccepted("no"), "req_9")
