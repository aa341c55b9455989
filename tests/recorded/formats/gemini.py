"""Gemini's contents, from the Gemini API and from Vertex."""

from __future__ import annotations

import json
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats.errors import expected_error
from recorded.formats.sse import events
from recorded.normal import Normal

# By name, and by number where the request asked for enumerations so.
FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "MALFORMED_FUNCTION_CALL": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    1: "stop",
    2: "length",
}


def contents(exchange: Exchange) -> Normal:
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, json.loads(exchange.body)))
    if exchange.body.startswith(b"data:"):
        return _read(events(exchange.body))
    body = json.loads(exchange.body)
    return _read(body if isinstance(body, list) else [body])


def embeddings(exchange: Exchange) -> Normal:
    return Normal(vectors=[item["values"] for item in json.loads(exchange.body)["embeddings"]])


def _read(bodies: list[dict[str, Any]]) -> Normal:
    candidates: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    for body in bodies:
        usage = body.get("usageMetadata") or usage
        for candidate in body.get("candidates") or ():
            grown = candidates.setdefault(candidate.get("index", 0), {"text": "", "tools": [], "finish": None})
            for part in (candidate.get("content") or {}).get("parts") or ():
                if "text" in part and not part.get("thought"):
                    grown["text"] += part["text"]
                elif "functionCall" in part:
                    grown["tools"].append((part["functionCall"]["name"], part["functionCall"].get("args") or {}))
            grown["finish"] = candidate.get("finishReason") or grown["finish"]
    found = [candidate for _, candidate in sorted(candidates.items())]
    return Normal(
        texts=[candidate["text"] for candidate in found],
        tools=[candidate["tools"] for candidate in found],
        finish=["tool_calls" if candidate["tools"] else FINISH[candidate["finish"]] for candidate in found],
        usage=_usage(usage),
    )


def _usage(usage: dict[str, Any]) -> tuple[int, int] | None:
    if not usage:
        return None
    prompt = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    return prompt, usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
