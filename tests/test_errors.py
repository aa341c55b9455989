from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from gatewright import errors
from gatewright.errors import GatewayError, MissingExtra, RateLimited, StreamInterrupted, redact

TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, GatewayError)]


def made(cls: type[GatewayError]) -> GatewayError:
    if cls is MissingExtra:
        return MissingExtra("the local lane", "local")
    context: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o",
        "request_id": "req_1",
        "retry_after": 2.5,
        "param": "n",
        "upstream_status": 418,
        "upstream_code": "teapot",
    }
    error = cls("it went wrong", **context)
    error.attempts = 3
    if isinstance(error, StreamInterrupted):
        error.text = "so far"
    return error


@pytest.mark.parametrize("cls", TREE)
def test_every_error_knows_its_code_status_and_whether_a_retry_can_help(cls: type[GatewayError]) -> None:
    assert cls.code
    assert 400 <= cls.status <= 599
    assert isinstance(cls.retryable, bool)
    assert cls.__name__ in errors.__all__
    assert cls.__doc__


def pickled(error: GatewayError) -> GatewayError:
    return pickle.loads(pickle.dumps(error))


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in TREE]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", TREE)
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_a_copy_keeps_every_field(cls: type[GatewayError], again: Any) -> None:
    error = made(cls)
    other = again(error)
    assert type(other) is cls
    assert vars(other) == vars(error)
    assert str(other) == str(error)
    assert other.args == error.args
    assert other.as_dict() == error.as_dict()


def test_one_error_can_be_marked_otherwise_than_its_class() -> None:
    assert RateLimited("now").retryable
    assert not RateLimited("for this month", retryable=False).retryable


def test_an_error_says_where_it_came_from() -> None:
    assert str(RateLimited("slow down", provider="groq", model="llama")) == "slow down [groq/llama]"


SECRETS = {
    "openai": "sk-proj-Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gH",
    "openai, old": "sk-Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZk3vQ9x7RtY2mN8p",
    "openai, masked": "sk-proj-********************abcd",
    "anthropic": "sk-ant-api03-Zk3vQ9x7RtY2mN8-pL4sW6aB1_cD5eF0gH-AA",
    "openrouter": "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "groq": "gsk_Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZk3vQ9x7RtY2mN8p",
    "xai": "xai-Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZk3vQ9x7RtY2mN8p",
    "perplexity": "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",
    "hugging face": "hf_ZkvQxRtYmNpLsWaBcDeFgHZkvQxRtYmNpL",
    "replicate": "r8_Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZk3vQ",
    "nvidia": "nvapi-Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gH-Zk3vQ9x7RtY2mN8p",
    "cerebras": "csk-kv3q9x7rty2mn8pl4sw6ab1cd5ef0ghk3vq9x7rty2mn8p",
    "fireworks": "fw_3Zk3vQ9x7RtY2mN8pL4sW6aB",
    "together": "tgp_v1_Zk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZk3vQ9x7Rt",
    "google": "AIzaSyZk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gHZ",
    "google, token": "ya29.a0AfH6SMBZk3vQ9x7RtY2mN8pL4sW6aB1cD5eF0gH",
    "amazon": "AKIAIOSFODNN7EXAMPLE",
    "json web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("around", ["Incorrect API key provided: {}.", "{}", "key {} is not valid", '{{"k":"{}"}}'])
def test_keys_of_the_known_formats_are_hidden(secret: str, around: str) -> None:
    text = redact(around.format(secret))
    assert secret not in text
    assert "***" in text
    assert secret[8:20] not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer x", "Authorization: Bearer ***"),
        ("{'authorization': 'Bearer Zk3vQ9x7'}", "{'authorization': 'Bearer ***'}"),
        ("proxy-authorization: Basic dXNlcjpwYXNz", "proxy-authorization: Basic ***"),
        ("sent bearer 0123456789abcdef", "sent bearer ***"),
        ("api_key=Zk3vQ9", "api_key=***"),
        ("api-key: plainword", "api-key: ***"),
        ('"x-api-key": "Zk3vQ9x7RtY2"', '"x-api-key": "***"'),
        ("OPENAI_API_KEY=abc", "OPENAI_API_KEY=***"),
        ("https://host/v1beta/models?key=Zk3vQ9&alt=sse", "https://host/v1beta/models?key=***&alt=sse"),
        ("https://host/x?a=1&token=Zk3vQ9", "https://host/x?a=1&token=***"),
        ("http://user:Zk3vQ9@proxy:3128/", "http://user:***@proxy:3128/"),
        ("Incorrect API key provided: Zk3vQ9x7", "Incorrect API key provided: ***"),
        ("aws_secret_access_key=Zk3vQ9/x7", "aws_secret_access_key=***"),
    ],
)
def test_values_are_hidden_by_the_names_before_them(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_named_secrets_are_hidden_whatever_they_look_like() -> None:
    assert redact("the word is swordfish", "swordfish", None, "") == "the word is ***"


@pytest.mark.parametrize(
    "prose",
    [
        "task-management-systems-are",
        "key-value-stores-are-useful-in-many-systems",
        "risk-weighted-assets-of-2024-were-low",
        "123e4567-e89b-42d3-a456-426614174000",
        "req_0123456789abcdef01234567",
        "chatcmpl-9abcDEF0123456789abcdefghijkl",
        "request id req_011CQabcdefGHIJKLmnopqr failed",
        "asia-southeast1-aiplatform.googleapis.com answered 503",
        "the bearer token is missing",
        "Missing bearer authentication in header",
        "API key: please set one",
        "Set api_key or OPENAI_API_KEY and try again",
        "claude-haiku-4-5-20251001 is overloaded",
        "pplx-70b-online and xai-grok-4-fast-reasoning are models",
        "http://localhost:8000/v1/chat/completions?api-version=2024-10-21",
    ],
)
def test_ordinary_words_and_identifiers_are_left_alone(prose: str) -> None:
    assert redact(prose) == prose


def test_a_batchs_error_that_stands_among_its_own_results_can_be_pickled() -> None:
    error = RateLimited("busy", retry_after=2.0)
    error.results = ["fine", error]
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, RateLimited)
    assert again.retry_after == 2.0
    assert again.results is not None and again.results[1] is again
