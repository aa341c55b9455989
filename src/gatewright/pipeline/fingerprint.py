"""What makes two requests the same: one hash of all that can change the answer, whoever asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import Any, cast

import msgspec

from gatewright.types.configuration import mapping
from gatewright.types.requests import EmbedRequest, GenerateRequest, Message, Request

__all__ = ["USUAL", "canonical_params", "canonical_text", "digest_of", "fingerprint", "text_fingerprints"]

USUAL: Mapping[str, Any] = {
    "n": 1,
    "logprobs": False,
    "logit_bias": {},
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
"""What every provider takes a missing parameter for; temperature and the like have a default of each model's own."""

# How an answer is carried, not what it says.
_CARRIAGE = frozenset({"stream", "stream_options"})
_SPECIAL = _CARRIAGE.union(USUAL, ("stop",))
# What has one spelling in JSON.
_PLAIN = frozenset({str, int, bool})
_BEGUN = blake2b(digest_size=20)
_ANY_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_encoded = msgspec.json.Encoder(order="deterministic").encode
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


def fingerprint(request: Request, kept: AbstractSet[str] = frozenset()) -> bytes | None:
    """Give 20 bytes that are the same for the same request: BLAKE2b of its `canonical_text`; None where it has none."""
    text = canonical_text(request, kept)
    return None if text is None else digest_of(text)


def digest_of(text: bytes) -> bytes:
    """Give the BLAKE2b of a text in 20 bytes."""
    digest = _BEGUN.copy()  # a third less than to make one and say how long it is to be
    digest.update(text)
    return digest.digest()


def canonical_text(request: Request, kept: AbstractSet[str] = frozenset()) -> bytes | None:
    """Write a request, its model's name left out, so that the same request is the same text.

    The order of keys, parameters that are None or what they usually are (`USUAL`, unless they are in `kept`), 1 and
    1.0, a text and its one text part, are the same. None for a request with something in it that JSON has no form for:
    such a request is like no other.
    """
    params = request.params
    # Nearly every request has one spelling only, which is seen without reading its texts: it is written as it is.
    if type(request) is GenerateRequest and request.style == "chat" and _SPECIAL.isdisjoint(params):
        for value in params.values():
            kind = value.__class__
            if kind not in _PLAIN and not (kind is float and value % 1.0 > 0.0):
                return _respelled(request, kept)
        for message in request.messages:
            if (
                message.__class__ is not dict
                or len(message) != 2
                or message.get("content").__class__ is not str
                or message.get("role").__class__ is not str
            ):
                return _respelled(request, kept)
        try:
            return _encoded(("chat", request.messages, params))
        except _UNWRITABLE:
            pass  # what its keys are may be mended
    return _respelled(request, kept)


def _respelled(request: Request, kept: AbstractSet[str]) -> bytes | None:
    try:
        params = msgspec.Raw(canonical_params(request.params, kept))
        if isinstance(request, EmbedRequest):
            return _encoded(("embed", request.inputs, params))
        if request.style == "chat":
            return _encoded(("chat", _messages(request.messages), params))
        return _encoded(("text", _prompts(request), params))
    except _UNWRITABLE:
        return None


def text_fingerprints(request: EmbedRequest, kept: AbstractSet[str] = frozenset()) -> list[bytes] | None:
    """Give the fingerprint of each input as if it had been asked for alone; None where there is none."""
    try:
        begun = _BEGUN.copy()
        begun.update(b"embed" + canonical_params(request.params, kept))
        digests: list[bytes] = []
        for one in request.inputs:
            digest = begun.copy()
            digest.update(_encoded(one))
            digests.append(digest.digest())
        return digests
    except _UNWRITABLE:
        return None


def canonical_params(params: Mapping[str, Any], kept: AbstractSet[str] = frozenset()) -> bytes:
    """Write parameters so that equal ones are equal bytes; `TypeError` or `ValueError` where that cannot be."""
    if params and not (_SPECIAL.isdisjoint(params) and None not in params.values()):
        params = _what_says_something(params, kept)
    return _written(params) if params else b"{}"


def _what_says_something(params: Mapping[str, Any], kept: AbstractSet[str]) -> Mapping[str, Any]:
    said = {name: value for name, value in params.items() if _says_something(name, value, kept)}
    if isinstance(stop := said.get("stop"), str):
        said["stop"] = [stop]
    return said


def _says_something(name: str, value: Any, kept: AbstractSet[str]) -> bool:
    if value is None or name in _CARRIAGE:
        return False
    return name in kept or name not in USUAL or value != USUAL[name] or isinstance(value, bool) != (name == "logprobs")


def _written(value: Any) -> bytes:
    """Write JSON; only where a number may have two spellings, or a key is none of JSON's, it is looked through."""
    try:
        text = _encoded(value)
    except TypeError:
        return _encoded(_normal(value))
    # msgspec writes whole floats as 1.0, from 1e16 on as 1e16, and what is no number as null.
    if text.find(b".0") < 0 and text.find(b"null") < 0 and text.translate(_ANY_DIGIT).find(b"0e0") < 0:
        return text
    return _encoded(_normal(value))


def _normal(value: Any) -> Any:
    """Give a copy in which whole floats are integers and keys are texts; `ValueError` for what is no number."""
    if isinstance(value, Mapping):
        return {_key(name): _normal(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_normal(one) for one in cast("Sequence[Any]", value)]
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError("this is not a number")
    return int(value) if value.is_integer() else value


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    raise TypeError("a key of JSON is a text")


def _messages(messages: Sequence[Message]) -> Sequence[Message]:
    for message in messages:
        if type(message) is not dict or type(message.get("content")) is not str or None in message.values():
            return _normal([_message(one) for one in messages])
    return messages


def _message(message: Message) -> Message:
    said = {name: value for name, value in message.items() if value is not None}
    content = said.get("content")
    parts = cast("Sequence[Any]", content) if isinstance(content, list | tuple) else ()
    if len(parts) == 1:
        part = mapping(parts[0])
        if part is not None and len(part) == 2 and part.get("type") == "text" and isinstance(part.get("text"), str):
            said["content"] = part["text"]
    return said


def _prompts(request: GenerateRequest) -> Any:
    """Give one prompt as a list of one."""
    prompt = request.prompt
    alone = isinstance(prompt, str) or (bool(prompt) and isinstance(prompt[0], int))  # type: ignore[index]
    return [prompt] if alone else prompt
