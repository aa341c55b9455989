"""Bedrock: its own converse format, and the models' formats inside `invoke`."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats import anthropic
from recorded.formats.errors import expected_error
from recorded.normal import Normal, arguments

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}


def converse(exchange: Exchange) -> Normal:
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, json.loads(exchange.body)))
    if exchange.stream:
        return _streamed(frames(exchange.body))
    body = json.loads(exchange.body)
    return _whole(body)


def invoke(exchange: Exchange) -> Normal:
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, json.loads(exchange.body)))
    if exchange.stream:
        found = [json.loads(base64.b64decode(event["bytes"])) for _, event in frames(exchange.body)]
    else:
        found = [json.loads(exchange.body)]
    if "claude" in exchange.model:
        return anthropic.streamed(found) if exchange.stream else anthropic.whole(found[0])
    if "titan" in exchange.model:
        return _titan(found)
    return _streamed([next(iter(event.items())) for event in found]) if exchange.stream else _whole(found[0])


def embeddings(exchange: Exchange) -> Normal:
    body = json.loads(exchange.body)
    if "titan" in exchange.model:
        return Normal(vectors=[body["embedding"]], usage=(body["inputTextTokenCount"], 0))
    found = body["embeddings"]
    counted = int(exchange.headers["x-amzn-bedrock-input-token-count"])
    return Normal(vectors=found["float"] if isinstance(found, dict) else found, usage=(counted, 0))


def _titan(found: list[dict[str, Any]]) -> Normal:
    parts = [part for body in found for part in body.get("results", [body])]
    reason = parts[-1]["completionReason"]
    used = parts[-1].get("totalOutputTextTokenCount") or parts[-1]["tokenCount"]
    prompt = next(body["inputTextTokenCount"] for body in found if body.get("inputTextTokenCount") is not None)
    return Normal(
        texts=["".join(part["outputText"] for part in parts)],
        tools=[[]],
        finish=[{"FINISH": "stop", "LENGTH": "length"}[reason]],
        usage=(prompt, used),
    )


def frames(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Give the frames of AWS's event stream: their event type and parsed payload."""
    found: list[tuple[str, dict[str, Any]]] = []
    at = 0
    while at < len(body):
        total, head = struct.unpack_from(">II", body, at)
        headers = _headers(body[at + 12 : at + 12 + head])
        payload = body[at + 12 + head : at + total - 4]
        found.append((headers.get(":event-type") or headers[":exception-type"], json.loads(payload)))
        at += total
    return found


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name_size = block[at]
        name = block[at + 1 : at + 1 + name_size].decode()
        at += 1 + name_size + 1
        (size,) = struct.unpack_from(">H", block, at)
        headers[name] = block[at + 2 : at + 2 + size].decode()
        at += 2 + size
    return headers


def _whole(body: dict[str, Any]) -> Normal:
    blocks = body["output"]["message"]["content"]
    return Normal(
        texts=["".join(_text(block) for block in blocks)],
        tools=[[(block["toolUse"]["name"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block]],
        finish=[FINISH[body["stopReason"]]],
        usage=_usage(body["usage"]),
    )


def _streamed(found: list[tuple[str, dict[str, Any]]]) -> Normal:
    normal = Normal(texts=[""], tools=[[]], finish=[None])
    tools: dict[int, tuple[str, str]] = {}
    for kind, event in found:
        place = event.get("contentBlockIndex", 0)
        if kind == "contentBlockStart" and "toolUse" in event["start"]:
            tools[place] = (event["start"]["toolUse"]["name"], "")
        elif kind == "contentBlockDelta":
            delta = event["delta"]
            normal.texts[0] += delta.get("text", "")
            if "toolUse" in delta:
                tools[place] = (tools[place][0], tools[place][1] + _json(delta["toolUse"]["input"]))
        elif kind == "messageStop":
            normal.finish[0] = FINISH[event["stopReason"]]
        elif kind == "metadata":
            normal.usage = _usage(event["usage"])
    normal.tools[0] = [(name, arguments(text or "{}")) for name, text in tools.values()]
    return normal


def _text(block: dict[str, Any]) -> str:
    """Give a block's text; a cited text is one in parts."""
    if "citationsContent" in block:
        return "".join(part["text"] for part in block["citationsContent"]["content"])
    return block.get("text", "")


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _usage(usage: dict[str, Any]) -> tuple[int, int]:
    read = usage.get("cacheReadInputTokens") or usage.get("cacheReadInputTokenCount") or 0
    written = usage.get("cacheWriteInputTokens") or usage.get("cacheWriteInputTokenCount") or 0
    return usage["inputTokens"] + read + written, usage["outputTokens"]
