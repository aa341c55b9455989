"""Ollama's own chat."""

from __future__ import annotations

import json
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats.errors import expected_error
from recorded.normal import Normal


def chat(exchange: Exchange) -> Normal:
    bodies: list[dict[str, Any]] = [json.loads(line) for line in exchange.body.decode().split("\n") if line.strip()]
    if exchange.status != 200:
        return Normal(error=expected_error(exchange.status, bodies[0]))
    messages = [body["message"] for body in bodies]
    tools = [tool["function"] for message in messages for tool in message.get("tool_calls") or ()]
    last = bodies[-1]
    return Normal(
        texts=["".join(message.get("content") or "" for message in messages)],
        tools=[[(tool["name"], tool["arguments"]) for tool in tools]],
        finish=["tool_calls" if tools else last.get("done_reason") or "stop"],
        usage=(last.get("prompt_eval_count", 0), last["eval_count"]) if "eval_count" in last else None,
    )
