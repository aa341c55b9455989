"""From the wire's shapes to results: answers, chunks and vectors."""

from __future__ import annotations

import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec

from gatewright.errors import InvalidProviderResponse
from gatewright.providers.openai_wire.counts import usage_of
from gatewright.providers.openai_wire.shapes import (
    ChoiceBody,
    DeltaBody,
    EmbeddingsBody,
    EventBody,
    Json,
    MessageBody,
    ToolBody,
    WholeBody,
)
from gatewright.types.configuration import mapping
from gatewright.types.results import Choice, Chunk, ToolCall, ToolCallDelta

__all__ = ["choices_of", "chunks_of_event", "finish_reason", "vectors_of"]

_FINISH: dict[str | None, str | None] = {
    None: None,
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "insufficient_system_resource": "length",
}


def finish_reason(word: str | None) -> str | None:
    """Translate a provider's word into one of OpenAI's four; an unknown one is taken for `stop`."""
    return _FINISH.get(word, "stop")


def choices_of(body: WholeBody) -> list[Choice]:
    """Read the choices of a whole answer; `InvalidProviderResponse` where there are none."""
    choices = body.choices
    if not choices:
        raise InvalidProviderResponse("the provider's answer has no choices")
    return [_choice(choices[0])] if len(choices) == 1 else [_choice(choice) for choice in choices]


def _choice(body: ChoiceBody) -> Choice:
    message = body.message
    if message is None:
        return _bare_choice(body)
    # Nothing but text is the common answer by far: what else there can be is only looked into where it is.
    text, thought = (message.content or "", None) if not isinstance(message.content, list) else _content(message)
    tools = _tool_calls(message) if message.tool_calls or message.function_call else ()
    ending = _FINISH.get(body.finish_reason, "stop")
    more = message.annotations or message.reasoning_details or message.images
    return Choice(
        index=body.index,
        text=text,
        finish_reason="tool_calls" if tools and ending == "stop" else ending,
        tool_calls=tools,
        reasoning=message.reasoning_content or message.reasoning or thought,
        refusal=message.refusal,
        logprobs=body.logprobs,
        audio=message.audio,
        extra=_extra(message) if more else None,
    )


def _bare_choice(body: ChoiceBody) -> Choice:
    """Read a choice without a message: what Azure's content filter took away has only its finish reason left."""
    if body.text is None and body.finish_reason is None:
        raise InvalidProviderResponse("a choice of the provider's answer has neither message nor text")
    return Choice(
        index=body.index, text=body.text or "", finish_reason=finish_reason(body.finish_reason), logprobs=body.logprobs
    )


def _content(message: MessageBody) -> tuple[str, str | None]:
    """Give the text, and what was thought aloud in typed parts of the content."""
    content = message.content
    if isinstance(content, str):
        return content, None
    if not content:
        return "", None
    text = "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
    thought = "".join(_thought(part) for part in content if part.get("type") == "thinking")
    return text, thought or None


def _thought(part: Json) -> str:
    inner: Any = part.get("thinking")
    if isinstance(inner, str):
        return inner
    pieces = map(mapping, cast("list[Any]", inner)) if isinstance(inner, list) else ()
    return "".join(str(piece.get("text") or "") for piece in pieces if piece)


def _tool_calls(message: MessageBody) -> tuple[ToolCall, ...]:
    tools = message.tool_calls or ()
    if message.function_call is not None:
        tools = (*tools, ToolBody(function=message.function_call))
    return tuple(
        ToolCall(
            id=tool.id or f"call_{place}",
            name=(tool.function.name if tool.function else None) or "",
            arguments=_arguments(tool),
        )
        for place, tool in enumerate(tools)
    )


def _arguments(tool: ToolBody) -> str:
    arguments = tool.function.arguments if tool.function is not None else None
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def _extra(message: MessageBody) -> Json | None:
    extra = {
        name: value
        for name in ("annotations", "reasoning_details", "images")
        if (value := getattr(message, name)) is not None and value != []
    }
    return extra or None


def chunks_of_event(body: EventBody, raw: bytes) -> list[Chunk]:
    """Read one event; what says nothing (a role, an empty delta) gives no chunk."""
    usage = body.usage or (body.x_groq.usage if body.x_groq is not None else None)
    chunks: list[Chunk] = []
    for choice in body.choices or ():
        delta = choice.delta
        if (
            delta is not None and (text := delta.content) and isinstance(text, str)
            and choice.finish_reason is None and choice.logprobs is None and delta.tool_calls is None
            and not (
                delta.reasoning_content or delta.reasoning or delta.refusal or delta.audio or delta.annotations
                or delta.reasoning_details or delta.images or delta.function_call
            )
        ):  # fmt: skip
            # The common event by far: text and nothing else, so it is told from the others here, without a call.
            chunks.append(Chunk(text=text, index=choice.index, model=body.model, id=body.id, raw=raw))
            continue
        chunk = _chunk(choice, body, raw)
        if chunk is not None:
            chunks.append(chunk)
    if usage is not None:
        counted = usage_of(usage, body.service_tier)
        if chunks:
            chunks[-1] = msgspec.structs.replace(chunks[-1], usage=counted)
        else:
            chunks.append(Chunk(usage=counted, model=body.model, id=body.id, raw=raw))
    return chunks


def _chunk(choice: DeltaBody, body: EventBody, raw: bytes) -> Chunk | None:
    delta = choice.delta or MessageBody(content=choice.text)
    text, thought = _content(delta)
    reasoning = delta.reasoning_content or delta.reasoning or thought
    tools = _tool_deltas(delta)
    ending = finish_reason(choice.finish_reason)
    rare = delta.refusal or delta.audio or delta.annotations or delta.reasoning_details or delta.images
    if not (text or tools or ending or choice.logprobs or reasoning or rare):
        return None
    return Chunk(
        text=text,
        index=choice.index,
        finish_reason=ending,
        tool_calls=tools,
        reasoning=reasoning or None,
        refusal=delta.refusal,
        logprobs=choice.logprobs,
        audio=delta.audio,
        extra=_extra(delta),
        model=body.model,
        id=body.id,
        created=int(body.created) if body.created is not None else None,
        system_fingerprint=body.system_fingerprint,
        raw=raw,
    )


def _tool_deltas(delta: MessageBody) -> tuple[ToolCallDelta, ...]:
    tools = delta.tool_calls or ()
    if delta.function_call is not None:
        tools = (*tools, ToolBody(index=0, function=delta.function_call))
    return tuple(
        ToolCallDelta(
            index=place if tool.index is None else tool.index,
            id=tool.id,
            name=tool.function.name if tool.function is not None else None,
            arguments=_arguments(tool),
        )
        for place, tool in enumerate(tools)
    )


def vectors_of(body: EmbeddingsBody, expected: int, code: Literal["f", "b"] = "f") -> list[Sequence[float]]:
    """Read the vectors in the order of the inputs; `InvalidProviderResponse` where one is missing or not numbers.

    `code` is what base64 stands for, as `array` names it: 32-bit floats or signed bytes.
    """
    data = body.data or []
    if len(data) != expected:
        raise InvalidProviderResponse(f"the provider gave {len(data)} vectors for {expected} inputs")
    places = {item.index for item in data}
    if len(places) > 1:
        if places != set(range(expected)):
            raise InvalidProviderResponse("the provider's vectors are not numbered as the inputs are")
        data = sorted(data, key=lambda item: item.index or 0)
    vectors = [_floats(item.embedding, code) for item in data]
    if not all(vectors):
        raise InvalidProviderResponse("the provider gave a vector without numbers")
    return vectors


def _floats(embedding: list[float] | str, code: Literal["f", "b"]) -> Sequence[float]:
    if not isinstance(embedding, str):
        return embedding
    try:
        numbers = array(code, binascii.a2b_base64(embedding))
    except ValueError as error:
        raise InvalidProviderResponse("an embedding is not the base64 of numbers") from error
    if code == "b":
        return list(map(float, numbers))
    if sys.byteorder == "big":
        numbers.byteswap()
    if not math.isfinite(sum(numbers)):
        raise InvalidProviderResponse("an embedding has a component that is not a finite number")
    return numbers.tolist()
