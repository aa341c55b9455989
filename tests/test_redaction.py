"""Secrets are taken out of texts; prose stays as it is."""

from __future__ import annotations

import pytest

from gatewright.redaction import redact

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
