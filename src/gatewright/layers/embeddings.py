"""Embeddings of any number of texts: split to the provider's limit, put together in order, made unit length."""

from __future__ import annotations

import asyncio
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gatewright.errors import InvalidProviderResponse
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Embeddings

__all__ = ["EmbeddingsLayer", "unit"]

Vector = Sequence[float]
# Below this the length is 1 as far as 32-bit floats can tell, and dividing would only add noise.
TOLERANCE = 1e-6


class EmbeddingsLayer:
    """Asks for as many inputs at once as `limit_of(model)` allows, with at most `concurrency` requests under way."""

    concerns = EmbedRequest

    def __init__(self, limit_of: Callable[[str], int], concurrency: int) -> None:
        self._limit_of = limit_of
        self._concurrency = concurrency

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Answer an embeddings call."""
        request = call.embedding
        count = len(request.inputs)
        limit = self._limit_of(request.model) if count > 1 else count  # to know it all deployments are looked at
        if count <= limit:
            reply = await proceed(call)
            async with reply:
                whole = await reply.value()
            return _reply(call, [_counted(call, whole, count)], reply.attempts)
        pieces = [request.inputs[start : start + limit] for start in range(0, count, limit)]
        parts = await self._ask(call, request, pieces, proceed)
        return _reply(call, [part for part, _ in parts], sum(attempts for _, attempts in parts))

    async def _ask(
        self, call: Call, request: EmbedRequest, pieces: Sequence[Sequence[Any]], proceed: Handler
    ) -> list[tuple[Embeddings, int]]:
        """Ask for all pieces; the first failure cancels the others and is raised as it is."""
        permits = asyncio.Semaphore(self._concurrency)

        async def ask(piece: Sequence[Any]) -> tuple[Embeddings, int]:
            async with permits:
                reply = await proceed(call.replace(request=msgspec.structs.replace(request, inputs=piece)))
                async with reply:
                    return _counted(call, await reply.value(), len(piece)), reply.attempts

        tasks = [asyncio.ensure_future(ask(piece)) for piece in pieces]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _reply(call: Call, parts: Sequence[Embeddings], attempts: int) -> Reply[Any, Embeddings]:
    first = parts[0]
    usage = first.usage
    for part in parts[1:]:
        usage += part.usage
    costs = [part.cost_usd for part in parts]
    whole = msgspec.structs.replace(
        first,
        vectors=[vector for part in parts for vector in _units(call, part)],
        usage=usage,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )
    reply = Reply.whole(whole)
    reply.attempts = attempts
    return reply


def _counted(call: Call, part: Embeddings, expected: int) -> Embeddings:
    """Give vectors that are one for each input: the callers of a batch would have each other's otherwise."""
    if len(part.vectors) != expected:
        raise InvalidProviderResponse(
            f"the provider gave {len(part.vectors)} vectors for {expected} inputs",
            provider=part.provider, model=part.model, request_id=call.id,
        )  # fmt: skip
    return part


def _units(call: Call, part: Embeddings) -> list[Vector]:
    try:
        return [unit(vector) for vector in part.vectors]
    except InvalidProviderResponse as error:
        error.provider, error.model, error.request_id = part.provider, part.model, call.id
        raise


def unit(vector: Vector) -> Vector:
    """Give `vector` at length 1; zeros stay zeros, what is no number is an `InvalidProviderResponse`."""
    length = math.sqrt(sum(map(operator.mul, vector, vector)))
    if not math.isfinite(length):
        raise InvalidProviderResponse("an embedding has a component that is not a finite number")
    if length == 0.0 or abs(length - 1.0) <= TOLERANCE:
        return vector
    scale = 1.0 / length
    return [component * scale for component in vector]
