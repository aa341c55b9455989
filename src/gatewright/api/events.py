"""Streamed answers as OpenAI's server-sent events: what one network read brought goes out in one write."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from gatewright.api.wire import answer_id, usage_json
from gatewright.types.results import Answer, Chunk, ToolCallDelta
from gatewright.types.usage import Usage

__all__ = ["ChatEvents", "CompletionEvents", "StreamEvents"]

Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


class StreamEvents:
    """Writes the events of one stream; its id, model and time are those of its first chunk throughout.

    With `usage` every event says `"usage": null`, and a last one has the usage and no choices.
    """

    kind = ""
    prefix = ""

    def __init__(self, first: Chunk, answer: Answer, request_id: str, *, usage: bool) -> None:
        head: Json = {
            "id": first.id or answer_id(self.prefix, request_id),
            "object": self.kind,
            "created": first.created or int(time.time()),
            "model": first.model or answer.model,
        }
        if first.system_fingerprint is not None:
            head["system_fingerprint"] = first.system_fingerprint
        self._start = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._end = b'],"usage":null}\n\n' if usage else b"]}\n\n"
        self._usage = usage

    def written(self, chunks: Iterable[Chunk]) -> bytes:
        """Give the events of some chunks; those that only count tokens have none."""
        start, end = self._start, self._end
        return b"".join([start + choice + end for chunk in chunks if (choice := self._choice(chunk)) is not None])

    def last(self, usage: Usage) -> bytes:
        """Give the events that end the stream."""
        if not self._usage:
            return _DONE
        return self._start + b'],"usage":' + _encode(usage_json(usage)) + b"}\n\n" + _DONE

    def _choice(self, chunk: Chunk) -> bytes | None:
        raise NotImplementedError


class ChatEvents(StreamEvents):
    """`chat.completion.chunk` events; the first of each choice says whose words they are."""

    kind = "chat.completion.chunk"
    prefix = "chatcmpl-"

    def __init__(self, first: Chunk, answer: Answer, request_id: str, *, usage: bool) -> None:
        super().__init__(first, answer, request_id, usage=usage)
        self._begun: dict[int, bytes] = {}

    def _choice(self, chunk: Chunk) -> bytes | None:
        start = self._begun.get(chunk.index)
        if start is not None and chunk.text and _is_plain(chunk):
            # The common event by far: its JSON is put together, not encoded.
            return start + _encode(chunk.text) + b'},"logprobs":null,"finish_reason":null}'
        delta = _delta(chunk)
        if start is None:
            if not (delta or chunk.finish_reason or chunk.logprobs):
                return None
            self._begun[chunk.index] = b'{"index":%d,"delta":{"content":' % chunk.index
            delta = {"role": "assistant", "content": None if chunk.tool_calls else "", **delta}
        if chunk.finish_reason is None:
            return _delta_json(chunk, delta, None) if delta or chunk.logprobs else None
        ending = _delta_json(chunk, {}, chunk.finish_reason)
        if not (delta or chunk.logprobs):
            return ending
        # OpenAI's clients take a tool call for complete when its choice ends in a later event.
        return _delta_json(chunk, delta, None) + self._end + self._start + ending


class CompletionEvents(StreamEvents):
    """`text_completion` events, the legacy kind."""

    kind = "text_completion"
    prefix = "cmpl-"

    def _choice(self, chunk: Chunk) -> bytes | None:
        if not (chunk.text or chunk.finish_reason or chunk.logprobs):
            return None
        return _encode(
            {
                "text": chunk.text,
                "index": chunk.index,
                "logprobs": chunk.logprobs,
                "finish_reason": chunk.finish_reason,
            }
        )


def _is_plain(chunk: Chunk) -> bool:
    return (
        chunk.finish_reason is None
        and not chunk.tool_calls
        and chunk.reasoning is None
        and chunk.logprobs is None
        and chunk.refusal is None
        and chunk.audio is None
        and chunk.extra is None
    )


def _delta_json(chunk: Chunk, delta: Json, finish_reason: str | None) -> bytes:
    logprobs = chunk.logprobs if finish_reason is None else None
    return _encode({"index": chunk.index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason})


def _delta(chunk: Chunk) -> Json:
    delta: Json = dict(chunk.extra) if chunk.extra else {}
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.refusal:
        delta["refusal"] = chunk.refusal
    if chunk.tool_calls:
        delta["tool_calls"] = [_tool_delta(tool) for tool in chunk.tool_calls]
    if chunk.audio:
        delta["audio"] = chunk.audio
    return delta


def _tool_delta(tool: ToolCallDelta) -> Json:
    function = {"arguments": tool.arguments} if tool.name is None else {"name": tool.name, "arguments": tool.arguments}
    # What names a call comes once: clients join the parts of what is repeated.
    named: Json = {} if tool.id is None else {"id": tool.id, "type": "function"}
    return {"index": tool.index, **named, "function": function}
