"""What a simulated model writes: words made from the prompt, calls of tools, JSON by a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast
from zlib import crc32

import msgspec

from gatewright.errors import BadRequest
from gatewright.providers.simulator.config import SimulatorConfig
from gatewright.providers.simulator.schema import sample
from gatewright.types.requests import GenerateRequest, Message
from gatewright.types.results import ToolCall

__all__ = ["Draft", "Writer", "content_text", "prompts_of", "token_count"]

_PIECES = re.compile(r"\S+\s*|\s+")
_SENTENCES = (
    "This answer was made by a simulator, which has never read a book. ",
    "It is pleased to be asked, and it says the same thing each time it is asked the same. ",
    "The weather in here is always mild. ",
    "Words come at the pace that the configuration sets, and they stop when they are told to. ",
    "No network was troubled for them and nobody will be billed. ",
    "If you hoped for wisdom, a larger model may have some. ",
    "Somewhere a queue grows shorter by one. ",
    "The kettle is on, the tests are green, and the afternoon is long. ",
)
_WORDS = tuple(piece for sentence in _SENTENCES for piece in _PIECES.findall(sentence))
_ECHOED = 8


class Draft(msgspec.Struct, frozen=True):
    """One choice as it was written; a piece is what the simulator counts as a token."""

    pieces: Sequence[str]
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of the text and of the tool calls' arguments."""
        return len(self.pieces) + sum(token_count(call.arguments) for call in self.tool_calls)


class Writer:
    """Writes drafts; `responses` come in turn, whatever was asked."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._seed = (config.seed or 0) & 0xFFFFFFFF
        fixed = (config.text,) if config.text is not None else config.responses
        self._fixed = [_PIECES.findall(text) for text in fixed]
        self._turn = 0

    def draft(self, prompt: str, place: int, params: dict[str, Any]) -> Draft:
        """Write the choice number `place` of an answer to `prompt`."""
        if len(params) == 0:
            return Draft(self._text(prompt, place, self._config.output_tokens), "stop")
        tool = _forced_tool(params)
        if tool is not None:
            arguments = json.dumps(sample(tool.get("parameters") or {"type": "object"}))
            id_ = f"call_{crc32(prompt.encode(), self._seed + place):08x}"
            return Draft((), "tool_calls", (ToolCall(id=id_, name=tool["name"], arguments=arguments),))
        limit = _token_limit(params)
        structured = _structured(params.get("response_format"))
        if structured is not None:
            pieces: Sequence[str] = _PIECES.findall(structured)
        else:
            wanted = self._config.output_tokens
            pieces = self._text(prompt, place, wanted if limit is None else min(wanted, limit + 1))
        return _cut(pieces, limit, params.get("stop"))

    def _text(self, prompt: str, place: int, tokens: int) -> Sequence[str]:
        if self._fixed:
            self._turn += 1
            return self._fixed[(self._turn - 1) % len(self._fixed)]
        echo = prompt.split(None, _ECHOED)[:_ECHOED]
        pieces = ["You ", "said: ", *[f"{word} " for word in echo], "— "]
        start = crc32(prompt.encode("utf-8", "replace"), self._seed + place) % len(_WORDS)
        while len(pieces) < tokens:
            pieces += _WORDS[start : start + tokens - len(pieces)]
            start = 0
        return pieces[:tokens]


def _token_limit(params: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        limit = params.get(name)
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                raise BadRequest(f"{name} must be a whole number above zero", param=name)
            return limit
    return None


def _cut(pieces: Sequence[str], limit: int | None, stop: str | list[str] | None) -> Draft:
    reason = "stop"
    if limit is not None and len(pieces) > limit:
        pieces, reason = pieces[:limit], "length"
    if stop:
        text = "".join(pieces)
        ends = [text.find(word) for word in ([stop] if isinstance(stop, str) else stop) if word]
        end = min((end for end in ends if end >= 0), default=None)
        if end is not None:
            return Draft(_PIECES.findall(text[:end]), "stop")
    return Draft(pieces, reason)


def _forced_tool(params: dict[str, Any]) -> dict[str, Any] | None:
    """Give the function that must be called: the one that `tool_choice` names, or the first where it is required."""
    choice = params.get("tool_choice")
    if not params.get("tools") or choice in (None, "auto", "none"):
        return None
    functions = [tool.get("function", tool) for tool in params["tools"]]
    if choice == "required":
        return functions[0]
    named = cast("dict[str, Any]", choice if isinstance(choice, dict) else {})
    name = named.get("function", named).get("name", choice)
    for function in functions:
        if function.get("name") == name:
            return function
    raise BadRequest(f"tool_choice names {name!r}, which is not among the tools", param="tool_choice")


def _structured(response_format: Any) -> str | None:
    if not isinstance(response_format, dict):
        return None
    form = cast("dict[str, Any]", response_format)
    if form.get("type") == "json_object":
        return '{"answer": "text"}'
    if form.get("type") != "json_schema":
        return None
    return json.dumps(sample(form.get("json_schema", {}).get("schema", {})))


def token_count(text: str) -> int:
    """Count four characters as one token, as the simulator's tokenizer would."""
    return (len(text) + 3) // 4


def content_text(message: Message) -> str:
    """Give a message's text: its content, or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    return " ".join(str(cast("Any", part).get("text", "")) for part in parts if isinstance(part, dict))


def prompts_of(request: GenerateRequest) -> tuple[list[str], int]:
    """Give the prompts to answer, one for a chat, and how many tokens they are."""
    if request.style == "chat":
        texts = [content_text(message) for message in request.messages]
        return texts[-1:] or [""], sum(map(token_count, texts))
    prompts = list(_legacy_prompts(request.prompt))
    return [text for text, _ in prompts] or [""], sum(tokens for _, tokens in prompts)


def _legacy_prompts(prompt: Any) -> Iterator[tuple[str, int]]:
    """Give each prompt of the legacy form with its tokens; token ids are read as nothing that could be echoed."""
    if isinstance(prompt, str):
        yield prompt, token_count(prompt)
    elif isinstance(prompt, list) and prompt and isinstance(prompt[0], int):
        yield f"{len(cast('list[int]', prompt))} tokens", len(cast("list[int]", prompt))
    elif isinstance(prompt, list):
        for part in cast("list[Any]", prompt):
            yield from _legacy_prompts(part)
