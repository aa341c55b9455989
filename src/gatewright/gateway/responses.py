"""From an answer to what the gateway's caller is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from gatewright.errors import GatewayError
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.responses import EmbedResponse, GenerateResponse
from gatewright.types.results import Answer, Choice, Embeddings
from gatewright.types.schemas import parse

__all__ = ["embed_response", "generate_response"]


def generate_response(
    call: Call, parse_as: type[BaseModel] | None, reply: Reply[Any, Any], answer: Answer, now: float
) -> GenerateResponse:
    """Give a whole answer to its caller, read as `parse_as` where that is a class; `now` is the clock's seconds."""
    choices = answer.choices
    parsed = _parsed(call, parse_as, reply, answer) if parse_as is not None else None
    return GenerateResponse(
        model=answer.model,
        provider=answer.provider,
        choices=choices,
        request_id=call.id,
        usage=answer.usage,
        cost_usd=answer.cost_usd,
        latency_ms=(now - call.started_at) * 1000,
        cached=reply.cached,
        cache_status=reply.cache_status,
        cache_age=reply.cache_age,
        attempts=reply.attempts,
        parsed=parsed,
        deployment_id=answer.deployment_id,
        id=answer.id,
        created=answer.created,
        system_fingerprint=answer.system_fingerprint,
        warnings=_warnings(reply.warnings, choices),
        raw=answer.raw,
    )


def embed_response(call: Call, reply: Reply[Any, Any], vectors: Embeddings, now: float) -> EmbedResponse:
    """Give vectors to their caller; `now` is the clock's seconds."""
    return EmbedResponse(
        embeddings=vectors.vectors,
        model=vectors.model,
        provider=vectors.provider,
        request_id=call.id,
        usage=vectors.usage,
        cost_usd=vectors.cost_usd,
        latency_ms=(now - call.started_at) * 1000,
        cached=reply.cached,
        cache_status=reply.cache_status,
        cache_age=reply.cache_age,
        attempts=reply.attempts,
        deployment_id=vectors.deployment_id,
        warnings=list(reply.warnings),
    )


def _warnings(of_request: Sequence[str], choices: Sequence[Choice]) -> list[str]:
    warnings = list(of_request)
    for choice in choices:
        if choice.warnings:
            warnings += choice.warnings
    return warnings


def _parsed(call: Call, parse_as: type[BaseModel], reply: Reply[Any, Any], answer: Answer) -> BaseModel | None:
    """Read the first choice as `parse_as`; a refusal or a tool call is an answer of another kind."""
    choice = answer.choices[0]
    if choice.refusal is not None or (choice.tool_calls and not choice.text):
        return None
    try:
        return parse(parse_as, choice.text)
    except GatewayError as error:
        if reply.discard is not None:
            reply.discard()
        error.provider, error.model, error.request_id = answer.provider, answer.model, call.id
        raise
