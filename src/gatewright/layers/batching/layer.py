"""The batching layer: concurrent embeddings calls become few requests, and each caller gets its own vectors."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gatewright.errors import BadRequest, CallCancelled, GatewayError, RateLimited
from gatewright.layers.batching.config import BatchingConfig
from gatewright.layers.batching.shares import shares_of
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import CallBatched, Events
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply
from gatewright.types.estimates import prompt_tokens
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Embeddings

__all__ = ["EmbeddingsBatchingLayer"]

Key = tuple[Any, ...]


class _Part:
    """One caller's call, and where its answer is awaited; `tokens` are counted where a deployment's are limited."""

    __slots__ = ("call", "done", "request", "tokens")

    def __init__(self, call: Call, request: EmbedRequest, tokens: int) -> None:
        self.call = call
        self.request = request
        self.tokens = tokens
        self.done: asyncio.Future[tuple[Embeddings, int]] = asyncio.get_running_loop().create_future()


class _Pile:
    """Calls of one key that wait to be sent together, and how many requests of that key are under way."""

    __slots__ = ("inputs", "parts", "timer", "tokens", "under_way")

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.inputs = 0
        self.tokens = 0
        self.timer: asyncio.Handle | None = None
        self.under_way = 0


class EmbeddingsBatchingLayer:
    """Piles calls up by tenant, model and parameters; a pile goes when it is full or has waited for its window."""

    concerns = EmbedRequest

    def __init__(
        self,
        config: BatchingConfig,
        limit_of: Callable[[str], int],
        most_tokens: Callable[[str], float | None],
        events: Events,
    ) -> None:
        self._events = events
        self._window = config.window
        self._limit_of = limit_of
        self._most_tokens = most_tokens
        self._piles: dict[Key, _Pile] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Answer an embeddings call from a batch."""
        request = call.embedding
        limit = self._limit_of(request.model)
        key = _key(call, request)
        if key is None or len(request.inputs) >= limit:
            return await proceed(call)
        most = self._most_tokens(request.model)
        part = _Part(call, request, 0 if most is None else prompt_tokens(request))
        self._pile_up(key, part, limit, math.inf if most is None else most, proceed)
        vectors, attempts = await part.done
        reply = Reply.whole(vectors)
        reply.attempts = attempts
        return reply

    def _pile_up(self, key: Key, part: _Part, limit: int, most_tokens: float, proceed: Handler) -> None:
        pile = self._piles.get(key)
        if pile is None:
            pile = self._piles[key] = _Pile()
        if pile.inputs + len(part.request.inputs) > limit or pile.tokens + part.tokens > most_tokens:
            self._send(key, pile, proceed)
        pile.parts.append(part)
        pile.inputs += len(part.request.inputs)
        pile.tokens += part.tokens
        if pile.inputs >= limit:
            self._send(key, pile, proceed)
        elif pile.timer is None:
            loop = asyncio.get_running_loop()
            if pile.under_way:
                pile.timer = loop.call_later(self._window, self._send, key, pile, proceed)
            else:
                # Whoever starts in the same turn of the loop is in time; nobody waits for those who may never come.
                pile.timer = loop.call_soon(self._send, key, pile, proceed)

    def _send(self, key: Key, pile: _Pile, proceed: Handler) -> None:
        if pile.timer is not None:
            pile.timer.cancel()
            pile.timer = None
        parts, pile.parts, pile.inputs, pile.tokens = pile.parts, [], 0, 0
        parts = [part for part in parts if not part.done.done()]
        if not parts:
            self._forget(key, pile)
            return
        pile.under_way += 1
        task = asyncio.get_running_loop().create_task(self._answer(parts, proceed))
        self._tasks.add(task)
        for part in parts:
            part.done.add_done_callback(lambda _: _cancel_if_unwanted(task, parts))
        task.add_done_callback(lambda _: self._ended(key, pile, task))

    def _ended(self, key: Key, pile: _Pile, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        pile.under_way -= 1
        self._forget(key, pile)

    def _forget(self, key: Key, pile: _Pile) -> None:
        if not pile.under_way and not pile.parts and self._piles.get(key) is pile:
            del self._piles[key]

    def forget(self) -> None:
        """Let go of every pile: what they wait for belongs to an event loop that is gone."""
        self._piles = {}
        self._tasks = set()

    async def _answer(self, parts: Sequence[_Part], proceed: Handler) -> None:
        """Ask for all parts at once; where one of them is bad, find it by halves and answer the others.

        Where a limit has no room for all of them, there may be some for one.
        """
        if self._events.hears(CallBatched):
            for part in parts[1:]:
                self._events.emit(CallBatched(call_id=part.call.id, with_call=parts[0].call.id))
        try:
            reply = await proceed(_joined(parts))
            async with reply:
                whole = await reply.value()
            shares = shares_of(whole, [part.request for part in parts])
        except BadRequest as error:
            if len(parts) == 1:
                _fail(parts, error)
                return
            middle = len(parts) // 2
            await asyncio.gather(self._answer(parts[:middle], proceed), self._answer(parts[middle:], proceed))
        except Exception as error:  # noqa: BLE001 - it is raised to each caller
            if isinstance(error, RateLimited) and not error.asked and len(parts) > 1:
                await asyncio.gather(*(self._answer((part,), proceed) for part in parts))
            else:
                _fail(parts, error)
        except BaseException:
            _fail(parts, CallCancelled("the batch was cancelled"))
            raise
        else:
            for part, share in zip(parts, shares, strict=True):
                if not part.done.done():
                    part.done.set_result((share, reply.attempts))


def _key(call: Call, request: EmbedRequest) -> Key | None:
    """Give what calls of one batch have in common; None for a call that cannot be compared."""
    try:
        params = msgspec.json.encode(request.params, order="deterministic") if request.params else b""
    except (TypeError, ValueError):
        return None
    return (call.caller.tenant_id, request.model, params, call.options)


def _joined(parts: Sequence[_Part]) -> Call:
    """Give one call for all parts, with the time of the most patient."""
    first = parts[0]
    if len(parts) == 1:
        return first.call
    inputs = [text for part in parts for text in part.request.inputs]
    ends = [math.inf if part.call.deadline is None else part.call.deadline for part in parts]
    deadline = max(ends)
    return first.call.replace(
        request=msgspec.structs.replace(first.request, inputs=inputs),
        options=msgspec.structs.replace(first.call.options, joined=True),
        deadline=None if deadline == math.inf else deadline,
    )


def _fail(parts: Sequence[_Part], error: Exception) -> None:
    for part in parts:
        if not part.done.done():
            own = error if len(parts) == 1 or not isinstance(error, GatewayError) else error.copy_for(part.call.id)
            part.done.set_exception(own)


def _cancel_if_unwanted(task: asyncio.Task[None], parts: Sequence[_Part]) -> None:
    if not task.done() and all(part.done.cancelled() for part in parts):
        task.cancel()
