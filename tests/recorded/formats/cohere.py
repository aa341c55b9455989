"""Cohere's second interface."""

from __future__ import annotations

import json
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats.errors import expected_error
from recorded.formats.sse import events
from recorded.normal import Normal, arguments

FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


def chat(exchange: Exchange) -> Normal:
    if exchange.stream and exchange.status == 200:
        return _streamed(events(exchange.body))
    body = json.loads(exchange.body)
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, body))
    message = body["message"]
    tools = [
        (tool["function"]["name"], arguments(tool["function"]["arguments"])) for tool in message.get("tool_calls") or ()
    ]
    return Normal(
        texts=["".join(part["text"] for part in message.get("content") or () if part["type"] == "text")],
        tools=[tools],
        finish=[FINISH[body["finish_reason"]]],
        usage=_usage(body.get("usage")),
    )


def embeddings(exchange: Exchange) -> Normal:
    body = json.loads(exchange.body)
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, body))
    found = body["embeddings"]
    vectors = found["float"] if isinstance(found, dict) else found
    return Normal(vectors=vectors, usage=(body["meta"]["billed_units"].get("input_tokens", 0), 0))


def _streamed(found: list[dict[str, Any]]) -> Normal:
    normal = Normal(texts=[""], tools=[[]], finish=[None])
    tools: dict[int, tuple[str, str]] = {}
    for event in found:
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        if event["type"] in ("content-delta", "content-start"):
            normal.texts[0] += message["content"].get("text") or ""
        elif event["type"] == "tool-call-start":
            function = message["tool_calls"]["function"]
            tools[event["index"]] = (function["name"], function["arguments"])
        elif event["type"] == "tool-call-delta":
            name, text = tools[event["index"]]
            tools[event["index"]] = (name, text + message["tool_calls"]["function"]["arguments"])
        elif event["type"] == "message-end":
            normal.finish[0] = FINISH[delta["finish_reason"]]
            normal.usage = _usage(delta.get("usage"))
    normal.tools[0] = [(name, arguments(text)) for name, text in tools.values()]
    return normal


def _usage(usage: dict[str, Any] | None) -> tuple[int, int] | None:
    if not usage:
        return None
    tokens = usage["tokens"]
    return int(tokens["input_tokens"]), int(tokens["output_tokens"])
