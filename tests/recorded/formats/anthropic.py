"""Anthropic's messages."""

from __future__ import annotations

import json
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats.errors import expected_error
from recorded.formats.sse import events
from recorded.normal import Normal, arguments

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def messages(exchange: Exchange) -> Normal:
    if exchange.stream and exchange.status == 200:
        return streamed(events(exchange.body))
    body = json.loads(exchange.body)
    return whole(body) if exchange.status == 200 else Normal(error=expected_error(exchange.status, body))


def whole(body: dict[str, Any]) -> Normal:
    """Read a message; a tool that Anthropic runs itself is no tool call."""
    blocks = body["content"]
    return Normal(
        texts=["".join(block["text"] for block in blocks if block["type"] == "text")],
        tools=[[(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]],
        finish=[FINISH[body["stop_reason"]]],
        usage=_usage(body["usage"]),
    )


def streamed(found: list[dict[str, Any]]) -> Normal:
    """Read a message's events."""
    normal = Normal(texts=[""], tools=[[]], finish=[None])
    usage: dict[str, Any] = {}
    blocks: dict[int, tuple[str, str]] = {}
    for event in found:
        kind = event["type"]
        if kind == "error":
            normal.error = expected_error(200, event)
            break
        if kind == "message_start":
            usage |= _counts(event["message"]["usage"])
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            blocks[event["index"]] = (event["content_block"]["name"], "")
        elif kind == "content_block_start" and event["content_block"]["type"] == "text":
            normal.texts[0] += event["content_block"]["text"]
        elif kind == "content_block_delta":
            _add(normal, blocks, event)
        elif kind == "message_delta":
            normal.finish[0] = FINISH[event["delta"]["stop_reason"]]
            usage |= _counts(event["usage"])
    normal.tools[0] = [(name, arguments(text or "{}")) for name, text in blocks.values()]
    normal.usage = _usage(usage)
    return normal


def _add(normal: Normal, blocks: dict[int, tuple[str, str]], event: dict[str, Any]) -> None:
    delta = event["delta"]
    if delta["type"] == "text_delta":
        normal.texts[0] += delta["text"]
    elif delta["type"] == "input_json_delta" and event["index"] in blocks:
        name, text = blocks[event["index"]]
        blocks[event["index"]] = (name, text + delta["partial_json"])


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in usage.items() if value is not None}


def _usage(usage: dict[str, Any]) -> tuple[int, int]:
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return usage.get("input_tokens", 0) + cached, usage["output_tokens"]
