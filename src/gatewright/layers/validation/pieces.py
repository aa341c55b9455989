"""The texts in requests and answers: where they are, what they are, and how others are put in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from gatewright.layers.validation.rules import Context, Kind, Side
from gatewright.pipeline.call import Call
from gatewright.types.configuration import mapping
from gatewright.types.requests import EmbedRequest, GenerateRequest, Message, Request
from gatewright.types.results import Choice

__all__ = ["Piece", "choice_pieces", "context_of", "request_texts", "route_of", "with_texts"]

_TEXT_FIELDS = ("content", "refusal", "reasoning_content")
_PART_FIELDS = ("text", "thinking", "refusal", "content", "output", "transcript")


class Piece(NamedTuple):
    """A text, what it is and where."""

    text: str
    kind: Kind
    place: str


def route_of(request: Request) -> str:
    """Give the route that a request takes: `chat`, `completions` or `embeddings`."""
    if isinstance(request, EmbedRequest):
        return "embeddings"
    return "chat" if request.style == "chat" else "completions"


def context_of(call: Call, side: Side, kind: Kind = "text") -> Context:
    """Give what a call's texts are judged in."""
    request = call.request
    return Context(
        side=side,
        kind=kind,
        tenant=call.caller.tenant_id,
        model=request.model,
        route=route_of(request),
        request=request,
    )


def choice_pieces(choice: Choice) -> list[Piece]:
    """Give the texts of a choice, in the order in which a model writes them."""
    where = f"choices[{choice.index}]"
    pieces: list[Piece] = []
    if choice.reasoning:
        pieces.append(Piece(choice.reasoning, "reasoning", f"{where}.reasoning"))
    if choice.text or not (choice.tool_calls or choice.refusal):
        pieces.append(Piece(choice.text, "text", f"{where}.text"))
    if choice.refusal:
        pieces.append(Piece(choice.refusal, "refusal", f"{where}.refusal"))
    for number, tool in enumerate(choice.tool_calls):
        pieces.append(Piece(tool.arguments, "tool_arguments", f"{where}.tool_calls[{number}].arguments"))
    return pieces


Replace = Callable[[Piece], str]
"""Gives the text to be put in the place of one; the same object where it stays as it is."""


def request_texts(request: Request) -> list[Piece]:
    """Give the texts of a request."""
    pieces: list[Piece] = []

    def note(piece: Piece) -> str:
        pieces.append(piece)
        return piece.text

    with_texts(request, note)
    return pieces


def with_texts(request: Request, replace: Replace) -> Request:
    """Give a request with each of its texts replaced; the same object where none of them is another."""
    if isinstance(request, EmbedRequest):
        inputs = _each(request.inputs, "inputs", replace)
        return request if inputs is request.inputs else msgspec.structs.replace(request, inputs=inputs)
    if request.style == "text":
        return _with_prompt(request, replace)
    messages = _in_order(request.messages, lambda place, one: _message(one, f"messages[{place}]", replace))
    return request if messages is request.messages else msgspec.structs.replace(request, messages=messages)


def _with_prompt(request: GenerateRequest, replace: Replace) -> GenerateRequest:
    prompt: Any = request.prompt
    if isinstance(prompt, str):
        given: Any = replace(Piece(prompt, "text", "prompt"))
    elif isinstance(prompt, list):
        given = _each(cast("list[Any]", prompt), "prompt", replace)
    else:
        return request
    return request if given is prompt else msgspec.structs.replace(request, prompt=given)


def _each(texts: Sequence[Any], where: str, replace: Replace) -> Sequence[Any]:
    return _in_order(
        texts,
        lambda place, one: replace(Piece(one, "text", f"{where}[{place}]")) if isinstance(one, str) else one,
    )


def _in_order(items: Sequence[Any], changed: Callable[[int, Any], Any]) -> Sequence[Any]:
    """Give the items changed; the same object where none of them is."""
    made = [changed(place, one) for place, one in enumerate(items)]
    return items if all(new is old for new, old in zip(made, items, strict=True)) else made


def _message(message: Message, where: str, replace: Replace) -> Message:
    changes: dict[str, Any] = {}
    for field in _TEXT_FIELDS:
        value = message.get(field)
        if value:
            changes[field] = _content(value, f"{where}.{field}", replace)
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        listed = cast("list[Any]", calls)
        changes["tool_calls"] = _in_order(
            listed, lambda place, one: _tool_call(one, f"{where}.tool_calls[{place}]", replace)
        )
    if isinstance(message.get("function_call"), Mapping):
        changes["function_call"] = _arguments(message["function_call"], f"{where}.function_call", replace)
    return message if all(new is message[field] for field, new in changes.items()) else {**message, **changes}


def _content(content: Any, where: str, replace: Replace) -> Any:
    if isinstance(content, str):
        return replace(Piece(content, "text", where))
    if not isinstance(content, Sequence):
        return content
    parts = cast("Sequence[Any]", content)
    return _in_order(parts, lambda place, one: _part(one, f"{where}[{place}]", replace))


def _part(part: Any, where: str, replace: Replace) -> Any:
    if isinstance(part, str):
        return replace(Piece(part, "text", where))
    given = mapping(part)
    if given is None:
        return part
    changes = {field: _content(given[field], f"{where}.{field}", replace) for field in _PART_FIELDS if given.get(field)}
    return part if all(new is given[field] for field, new in changes.items()) else {**given, **changes}


def _tool_call(call: Any, where: str, replace: Replace) -> Any:
    given = mapping(call)
    function = None if given is None else mapping(given.get("function"))
    if given is None or function is None:
        return call
    changed = _arguments(function, f"{where}.function", replace)
    return given if changed is function else {**given, "function": changed}


def _arguments(function: Mapping[str, Any], where: str, replace: Replace) -> Mapping[str, Any]:
    written = function.get("arguments")
    if not isinstance(written, str) or not written:
        return function
    given = replace(Piece(written, "tool_arguments", f"{where}.arguments"))
    return function if given is written else {**function, "arguments": given}
