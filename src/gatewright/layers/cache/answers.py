"""Answers and vectors as they are kept: MessagePack, with what they had cost and how long they had taken."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from gatewright.types.results import Answer, Choice, Embeddings
from gatewright.types.usage import Usage

__all__ = ["KeptAnswer", "KeptVector", "answer_data", "answer_of", "kept_answer", "kept_vector", "vector_data"]

FORM = 1
"""The number of this form; a program with another takes what it finds for nothing."""
_encode = msgspec.msgpack.Encoder().encode


class KeptAnswer(msgspec.Struct, array_like=True):
    """An answer; `seconds` is how long it had taken."""

    form: int
    seconds: float
    cost_usd: float | None
    choices: list[Choice]
    model: str
    provider: str
    deployment_id: str
    usage: Usage
    id: str | None
    created: int | None
    system_fingerprint: str | None
    raw: bytes | dict[str, Any] | None


class KeptVector(msgspec.Struct, array_like=True):
    """One text's vector: the bytes of an array of `code`; its part of the tokens and the cost of its request."""

    form: int
    seconds: float
    cost_usd: float | None
    code: str
    numbers: bytes
    model: str
    provider: str
    deployment_id: str


_answer_decode = msgspec.msgpack.Decoder(KeptAnswer).decode
_vector_decode = msgspec.msgpack.Decoder(KeptVector).decode


def answer_data(answer: Answer, seconds: float) -> bytes | None:
    """Write an answer; None where the provider's own form of it has something in it that cannot be written."""
    raw = answer.raw
    if raw is not None and not isinstance(raw, bytes | dict):
        raw = raw.model_dump()
    kept = KeptAnswer(
        FORM,
        seconds,
        answer.cost_usd,
        list(answer.choices),
        answer.model,
        answer.provider,
        answer.deployment_id,
        answer.usage,
        answer.id,
        answer.created,
        answer.system_fingerprint,
        raw,
    )
    try:
        return _encode(kept)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None


def kept_answer(data: bytes) -> KeptAnswer | None:
    """Read an answer; None where this is not one that this program wrote."""
    try:
        kept = _answer_decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
    return kept if kept.form == FORM else None


def answer_of(kept: KeptAnswer) -> Answer:
    """Give the answer as its next caller gets it: for nothing."""
    return Answer(
        choices=kept.choices,
        model=kept.model,
        provider=kept.provider,
        deployment_id=kept.deployment_id,
        usage=kept.usage,
        cost_usd=0.0,
        id=kept.id,
        created=kept.created,
        system_fingerprint=kept.system_fingerprint,
        raw=kept.raw,
    )


def vector_data(vector: Sequence[float], whole: Embeddings, cost_usd: float | None, seconds: float) -> bytes:
    """Write one vector of an answer, in half the bytes where its numbers are 32-bit ones."""
    numbers = array("f", vector)
    if numbers.tolist() != vector:
        numbers = array("d", vector)
    return _encode(
        KeptVector(
            FORM,
            seconds,
            cost_usd,
            numbers.typecode,
            numbers.tobytes(),
            whole.model,
            whole.provider,
            whole.deployment_id,
        )
    )


def kept_vector(data: bytes) -> tuple[KeptVector, list[float]] | None:
    """Read a vector; None where this is not one that this program wrote."""
    try:
        kept = _vector_decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
    if kept.form != FORM or kept.code not in ("f", "d"):
        return None
    numbers = array(kept.code)
    numbers.frombytes(kept.numbers)
    return kept, numbers.tolist()
