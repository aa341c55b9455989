"""Errors by status, code and type; when to come back; and no secret in any of them."""

from __future__ import annotations

import email.utils
import json
import logging
import time
from typing import Any

import pytest
from pydantic import SecretStr

from gatewright.errors import (
    AuthenticationFailed,
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    GatewayError,
    InvalidProviderResponse,
    NotFound,
    PermissionDenied,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from gatewright.providers.openai_wire.errors import error_of, retry_after
from providers.openai_wire.lane import KEY, Lane, call
from providers.upstream import chunk, reply, sse


def made(status: int, body: Any, **headers: str) -> GatewayError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_of(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, InvalidProviderResponse),
        (400, BadRequest),
        (401, AuthenticationFailed),
        (402, PermissionDenied),
        (403, PermissionDenied),
        (404, NotFound),
        (405, BadRequest),
        (408, ProviderTimeout),
        (413, BadRequest),
        (418, BadRequest),
        (422, BadRequest),
        (429, RateLimited),
        (500, ProviderUnavailable),
        (502, ProviderUnavailable),
        (503, ProviderUnavailable),
        (504, ProviderTimeout),
        (529, ProviderUnavailable),
        (599, ProviderUnavailable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": {"message": "x"}}, {"error": "x"}, {"message": "x"}, [1]])
def test_by_status(status: int, kind: type[GatewayError], body: Any):
    error = made(status, body)
    assert type(error) is kind
    assert error.upstream_status == status


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, ContextWindowExceeded),
        (400, {"type": "exceed_context_size_error"}, ContextWindowExceeded),
        (400, {"type": "too_many_prompt_tokens", "code": 400}, ContextWindowExceeded),
        (422, {"error_type": "TOO_MANY_TOKENS"}, ContextWindowExceeded),
        (400, {"code": "content_filter"}, ContentPolicyViolation),
        (200, {"code": "content_filter", "status": 400}, ContentPolicyViolation),
        (400, {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, ContentPolicyViolation),
        (403, {"code": 403, "metadata": {"reasons": ["violence"]}}, ContentPolicyViolation),
        (403, {"code": 403, "metadata": {"provider_name": "x"}}, PermissionDenied),
        (403, {"code": "model_not_found"}, PermissionDenied),
        (400, {"code": "model_not_found"}, NotFound),
        (
            400,
            {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]},
            AuthenticationFailed,
        ),
        (401, {"code": "invalid_api_key", "type": "invalid_request_error"}, AuthenticationFailed),
        (400, {"code": "tool_use_failed", "type": "invalid_request_error"}, BadRequest),
        (200, {"status_code": 400, "code": "tool_use_failed"}, BadRequest),
        (200, {"code": 429}, RateLimited),
        (200, {"code": "502"}, ProviderUnavailable),
        (200, {"code": "²²²"}, ProviderUnavailable),
        (200, {"code": 99999999999999999999}, ProviderUnavailable),
        (200, {"type": "invalid_request_error"}, BadRequest),
        (200, {"type": "overloaded_error"}, ProviderUnavailable),
        (500, {"code": "rate_limit_exceeded"}, RateLimited),
        (400, {"innererror": "x", "details": "y", "metadata": [1], "code": {}, "type": 5}, BadRequest),
        (400, {"message": {"nested": [1]}, "details": [None, 1, {"reason": 5}]}, BadRequest),
    ],
)
def test_by_code_and_type(status: int, error: dict[str, Any], kind: type[GatewayError]):
    found = made(status, {"error": error})
    assert type(found) is kind


def test_the_text_of_a_message_says_nothing():
    error = made(400, {"error": {"message": "context_length_exceeded: content_filter: invalid_api_key: rate limit"}})
    assert type(error) is BadRequest


def test_googles_list_of_one():
    assert (
        type(made(400, [{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}])) is AuthenticationFailed
    )
    assert type(made(404, [])) is NotFound


def test_what_the_provider_said_of_itself():
    error = made(400, {"error": {"message": "bad n", "code": "unsupported_value", "param": "n"}})
    assert (error.message, error.upstream_code, error.param) == ("bad n", "unsupported_value", "n")
    long = made(400, {"error": {"message": "x" * 10_000, "code": "y" * 10_000, "param": "z" * 10_000}})
    assert len(long.message) <= 1000
    assert len(long.upstream_code or "") <= 100
    assert len(long.param or "") <= 100


def test_a_quota_that_is_used_up_is_not_retried():
    assert not made(429, {"error": {"code": "insufficient_quota"}}).retryable
    assert made(429, {"error": {"code": "rate_limit_exceeded"}}).retryable


def test_very_deep_errors_and_other_bytes():
    assert type(made(500, b'{"error":' + b"[" * 100_000)) is ProviderUnavailable
    assert type(made(500, b'{"message":"\xff"}')) is ProviderUnavailable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Foo 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers) == seconds


def test_when_to_come_back_by_date():
    found = retry_after({"retry-after": email.utils.formatdate(time.time() + 100, usegmt=True)})
    assert found is not None
    assert 90 < found <= 100


async def test_a_rate_limit_says_when_to_come_back(lane: Lane):
    lane.upstream.play(reply({"error": {"message": "slow"}}, 429, retry_after="3"))
    with pytest.raises(RateLimited) as caught:
        await lane.generate()
    assert caught.value.retry_after == 3.0


ECHOES = {
    "a message": reply({"error": {"message": f"Incorrect API key provided: {KEY}."}}, 401, x_echo=KEY),
    "a code": reply({"error": {"message": "no", "code": KEY, "param": KEY, "type": KEY}}, 400),
    "a detail": reply({"detail": [{"loc": ["header"], "input": f"Bearer {KEY}"}]}, 422),
    "text in place of JSON": reply(f"{KEY} is wrong".encode()),
    "a key that is cut in two": reply(b"x" * 70 + KEY.encode() + b" is wrong"),
    "other bytes": reply(KEY.encode() + b'{"id": "\xff"}'),
    "bytes in JSON": reply(b'{"id": "\xff' + KEY.encode() + b'"}'),
    "a header": reply({"error": {}}, 401, x=KEY),
    "a broken head": [f"HTTP/1.1 200 OK\r\nbad\x01header: {KEY}\r\n\r\n".encode()],
    "a status line": [f"HTTP/1.1 {KEY}\r\n\r\n".encode()],
    "a stream": sse({"error": {"message": f"key {KEY}", "code": KEY}}),
    "a stream of garbage": sse(f"{KEY} garbage"),
    "a cut": [f"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{KEY}".encode(), "close"],
}


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_error_shows_the_key(lane: Lane, name: str, stream: bool, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    lane.upstream.play(ECHOES[name])
    with pytest.raises(GatewayError) as caught:
        await lane.generate(stream=stream)
    shown = [*_shown(caught.value), caplog.text]
    assert not [text for text in shown if KEY in text or KEY[3:-4] in text]


def _shown(error: BaseException | None) -> list[str]:
    """Give everything that a log or a debugger's report would show of an error and of those it came from."""
    if error is None:
        return []
    own = [str(error), repr(error), repr(error.args), repr(vars(error)), repr(getattr(error, "as_dict", dict)())]
    return own + _shown(error.__cause__) + (_shown(error.__context__) if error.__context__ is not error else [])


async def test_no_error_shows_a_secret_header(lane: Lane):
    secret = "hidden-in-a-header-1"
    lane.upstream.play(reply({"error": {"message": f"{secret} is wrong"}}, 401))
    with pytest.raises(AuthenticationFailed) as caught:
        await lane.generate(headers={"Authorization": f"Token {secret}"}, api_key=SecretStr("k" * 20))
    assert secret not in str(caught.value)


async def test_no_failure_to_connect_shows_the_key(lane: Lane):
    with pytest.raises(GatewayError) as caught:
        await lane.generate(base_url="http://127.0.0.1:1/v1")
    assert not [text for text in _shown(caught.value) if KEY in text]


def test_what_holds_the_key_does_not_show_it(lane: Lane):
    provider = lane.provider()
    assert KEY not in repr(provider)
    assert KEY not in repr(provider._deployment)  # pyright: ignore[reportPrivateUsage]


async def test_a_break_in_a_stream_shows_no_key(lane: Lane):
    lane.upstream.play(sse(chunk("x"), {"error": {"message": f"key {KEY}"}}))
    stream = await lane.provider()(call(stream=True))
    with pytest.raises(GatewayError) as caught:
        await stream.value()
    assert not [text for text in _shown(caught.value) if KEY in text]
