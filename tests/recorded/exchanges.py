"""The recorded exchanges, and which of them ask for text or vectors in a way that a lane can repeat."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "recorded"

# Wire formats by the end of the recorded path, in the order in which they are tried.
FORMATS: tuple[tuple[str, str], ...] = (
    (r"/chat/completions$", "openai_chat"),
    (r"^/v1/completions$", "openai_text"),
    (r"/v1/embeddings$", "openai_embeddings"),
    (r"^/v1/messages$", "anthropic"),
    (r":(stream)?[gG]enerateContent$", "gemini"),
    (r":batchEmbedContents$", "gemini_embeddings"),
    (r"^/v2/chat$", "cohere"),
    (r"^/v2/embed$", "cohere_embeddings"),
    (r"/converse(-stream)?$", "converse"),
    (r"/invoke(-with-response-stream)?$", "invoke"),
    (r"^/api/chat$", "ollama"),
)

# Everything else, with why it is not replayed.
NOT_REPLAYED: tuple[tuple[str, str], ...] = (
    (r":embedContent$|:predict$", "Vertex's embeddings: litellm needs google-auth for them, which is not installed"),
    (r":streamGenerateContent$", "Gemini's stream as a JSON array: no lane asks for it, both ask for events"),
    (r"/responses", "OpenAI's responses: the gateway has no such request yet"),
    (
        r"/(files|batches|batch/jobs|images|videos|audio|realtime|threads|assistants|conversations|moderations)",
        "no text",
    ),
    (r"/(models|vector_stores|rerank|tokenize|messages/batches|fileSearchStores|cachedContents|guardrail)", "no text"),
    (r"/agents/|/retrieveAndGenerate$|/interactions$", "agents and retrieval of the provider's own"),
    (r"count|:batchGenerateContent$|batches/", "counts and batches"),
    (r"^/v1/(complete|chat|generate|embed)$|^/api/generate$", "interfaces that their providers have replaced"),
    (r"/invoke", "models that Bedrock has retired, and endpoints of a user's own"),
)
# The models whose formats inside Bedrock's `invoke` are read here.
INVOKED = r"claude-(3|sonnet|haiku|opus)|nova-(micro|lite|2-lite)|titan-(text|embed)|cohere\.embed"


class Exchange(msgspec.Struct, frozen=True):
    """One recorded request with its response; `key` names it: provider and line, counted from 0."""

    key: str
    provider: str
    endpoint: str
    model: str
    stream: bool
    tools: bool
    format: str
    request: Any
    status: int
    headers: dict[str, str]
    body: bytes


def replayed() -> list[Exchange]:
    """Give the exchanges that the lanes repeat."""
    return [exchange for exchange in recorded() if exchange.format]


@functools.cache
def recorded() -> tuple[Exchange, ...]:
    """Give all exchanges; without the folder the tests skip, in CI they fail."""
    if not RECORDED.is_dir():
        message = f"the recorded exchanges are not at {RECORDED}"
        if os.environ.get("CI") == "true":
            raise FileNotFoundError(message)
        pytest.skip(message, allow_module_level=True)
    return tuple(
        _exchange(f"{path.stem}-{place}", json.loads(line))
        for path in sorted(RECORDED.glob("*.jsonl"))
        for place, line in enumerate(path.read_text("utf-8").rstrip("\n").split("\n"))
    )


def why_not(exchange: Exchange) -> str | None:
    """Give the reason why an exchange is not replayed; None where nobody has one."""
    return next((reason for pattern, reason in NOT_REPLAYED if re.search(pattern, exchange.endpoint)), None)


def _exchange(key: str, line: dict[str, Any]) -> Exchange:
    endpoint, response = line["endpoint"], line["response"]
    body = response["body"]
    streamed = line["stream"] or bool(re.search(r":stream|-stream$", endpoint))
    return Exchange(
        key=key,
        provider=line["provider"],
        endpoint=endpoint,
        model=line["model"],
        stream=streamed,
        tools=line["tools"],
        format=_format(endpoint, line["model"], body),
        request=line["request"]["body"],
        status=line["status"],
        headers=response["headers"],
        body=base64.b64decode(body) if response["body_encoding"] == "base64" else body.encode(),
    )


def _format(endpoint: str, model: str, body: str) -> str:
    found = next((name for pattern, name in FORMATS if re.search(pattern, endpoint)), "")
    if found == "invoke" and not re.search(INVOKED, model):
        return ""
    if found == "invoke" and "embed" in model:
        return "invoke_embeddings"
    return "" if "stream" in endpoint and found == "gemini" and body.startswith("[") else found
