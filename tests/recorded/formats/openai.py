"""OpenAI's chat completions, legacy completions and embeddings."""

from __future__ import annotations

import base64
import json
import struct
from array import array
from typing import Any

from recorded.exchanges import Exchange
from recorded.formats.errors import expected_error
from recorded.formats.sse import events
from recorded.normal import Normal, arguments

FINISH = {
    "function_call": "tool_calls",
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


def chat(exchange: Exchange) -> Normal:
    if exchange.stream and exchange.status == 200:
        return _streamed(events(exchange.body))
    body = json.loads(exchange.body)
    if "choices" not in body:
        return Normal(error=expected_error(exchange.status, body))
    messages = [choice.get("message") or {} for choice in body["choices"]]
    return Normal(
        texts=[_text(message.get("content")) for message in messages],
        tools=[[_tool(tool) for tool in message.get("tool_calls") or ()] for message in messages],
        finish=[_finish(choice.get("finish_reason")) for choice in body["choices"]],
        usage=_usage(body.get("usage")),
    )


def text(exchange: Exchange) -> Normal:
    bodies = events(exchange.body) if exchange.stream else [json.loads(exchange.body)]
    choices = [choice for body in bodies for choice in body["choices"]]
    places = sorted({choice["index"] for choice in choices if "index" in choice}) or [0]
    of = {place: [choice for choice in choices if choice.get("index", 0) == place] for place in places}
    return Normal(
        texts=["".join(choice["text"] for choice in of[place]) for place in places],
        tools=[[] for _ in places],
        finish=[_finish(of[place][-1]["finish_reason"]) for place in places],
        usage=next((_usage(body["usage"]) for body in bodies if body.get("usage")), None),
    )


def embeddings(exchange: Exchange) -> Normal:
    body = json.loads(exchange.body)
    if "data" not in body:
        return Normal(error=expected_error(exchange.status, body))
    read = _int8 if exchange.provider == "perplexity" else _vector
    return Normal(vectors=[read(item["embedding"]) for item in body["data"]], usage=_usage(body.get("usage")))


def _streamed(found: list[Any]) -> Normal:
    normal = Normal()
    choices: dict[int, dict[str, Any]] = {}
    for event in found:
        if "error" in event:
            normal.error = expected_error(200, event)
            break
        normal.usage = _usage(event.get("usage") or (event.get("x_groq") or {}).get("usage")) or normal.usage
        for choice in event.get("choices") or ():
            _add(choices.setdefault(choice.get("index", 0), {"text": "", "tools": {}, "finish": None}), choice)
    for _, choice in sorted(choices.items()):
        normal.texts.append(choice["text"])
        normal.tools.append([(name, arguments(args)) for name, args in choice["tools"].values()])
        normal.finish.append(choice["finish"])
    return normal


def _add(grown: dict[str, Any], choice: dict[str, Any]) -> None:
    delta = choice.get("delta") or {}
    grown["text"] += _text(delta.get("content"))
    grown["finish"] = _finish(choice.get("finish_reason")) or grown["finish"]
    for place, tool in enumerate(delta.get("tool_calls") or ()):
        key = tool.get("index", place)
        name, args = grown["tools"].get(key, ("", ""))
        function = tool.get("function") or {}
        grown["tools"][key] = (name or function.get("name") or "", args + (function.get("arguments") or ""))


def _text(content: Any) -> str:
    """Give a content's text: Mistral's reasoning models send a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _tool(tool: dict[str, Any]) -> tuple[str, Any]:
    return tool["function"]["name"], arguments(tool["function"]["arguments"])


def _finish(reason: str | None) -> str | None:
    return FINISH.get(reason, reason) if reason else None


def _usage(usage: dict[str, Any] | None) -> tuple[int, int] | None:
    return (usage["prompt_tokens"], usage.get("completion_tokens") or 0) if usage else None


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        raw = base64.b64decode(value)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return value


def _int8(value: str) -> list[float]:
    """Give a vector of Perplexity's: base64 of signed bytes, of any length."""
    return [float(number) for number in array("b", base64.b64decode(value))]
