"""`/v1/feedback…`: what people say of answers, and what it teaches; always of the tenant that the request names."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gatewright.api.body import Body, read_body, tenant_of
from gatewright.api.exchange import Exchange
from gatewright.errors import BadRequest
from gatewright.feedback.loop import FeedbackLoop
from gatewright.feedback.types import Feedback
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["FeedbackRoutes"]

_FIELDS = frozenset({"query", "response", "feedback_type", "content", "operation_id", "metadata", "rating"})
_NEEDED = ("query", "response", "feedback_type")
_CONDITIONS = frozenset({"feedback_type", "status", "model", "prompt_version", "operation_id"})
_TIMES = frozenset({"since", "before"})
_INSIGHTS = frozenset({"time_range_hours", "period_hours", "limit"})


class FeedbackRoutes:
    """Takes feedback, gives it back, changes its status, and tells what can be learned from it."""

    def __init__(self, gateway: LiteLLMGateway, max_body_bytes: int) -> None:
        self._gateway = gateway
        self._max_body_bytes = max_body_bytes

    @property
    def _loop(self) -> FeedbackLoop:
        return self._gateway.feedback_loop

    async def record(self, exchange: Exchange) -> None:
        """Keep one, and answer with its id when it is durable."""
        said = _said(await read_body(exchange, self._max_body_bytes))
        tenant = tenant_of(exchange)
        await _answer(exchange, {"id": await self._gateway.record_feedback_async(tenant_id=tenant, **said)})

    async def list(self, exchange: Exchange) -> None:
        """Give a page, the newest first; `after` is the last id of the page before."""
        asked = _query(exchange, _CONDITIONS | _TIMES | {"limit", "after"})
        limit = _whole("limit", asked.pop("limit", "100"))
        for name in _TIMES & asked.keys():
            asked[name] = _time(name, asked[name])
        page = await self._loop.list_feedback_async(tenant_of(exchange), limit=limit, **asked)
        await _answer(
            exchange, {"object": "list", "data": [_shown(one) for one in page], "has_more": len(page) == limit}
        )

    async def retrieve(self, exchange: Exchange) -> None:
        """Give one, and how far each callback has come with it."""
        id_, tenant = exchange.path_params["id"], tenant_of(exchange)
        found = await self._loop.get_feedback_async(id_, tenant)
        await _answer(exchange, {**_shown(found), "deliveries": await self._loop.get_deliveries_async(id_, tenant)})

    async def delete(self, exchange: Exchange) -> None:
        """Remove one for good."""
        id_ = exchange.path_params["id"]
        await self._loop.delete_feedback_async(id_, tenant_of(exchange))
        await _answer(exchange, {"id": id_, "object": "feedback", "deleted": True})

    async def process(self, exchange: Exchange) -> None:
        """Tell the callbacks of one now."""
        found = await self._loop.process_feedback_async(exchange.path_params["id"], tenant_of(exchange))
        await _answer(exchange, _shown(found))

    async def apply(self, exchange: Exchange) -> None:
        """Note that one was acted on."""
        found = await self._loop.mark_applied_async(exchange.path_params["id"], tenant_of(exchange))
        await _answer(exchange, _shown(found))

    async def ignore(self, exchange: Exchange) -> None:
        """Leave one out of insights and exports."""
        found = await self._loop.ignore_feedback_async(exchange.path_params["id"], tenant_of(exchange))
        await _answer(exchange, _shown(found))

    async def insights(self, exchange: Exchange) -> None:
        """Give what the tenant's feedback teaches."""
        asked = _query(exchange, _INSIGHTS | {"model", "prompt_version"})
        options = {name: _number(name, asked[name]) for name in ("time_range_hours", "period_hours") if name in asked}
        options |= {name: asked[name] for name in ("model", "prompt_version") if name in asked}
        if "limit" in asked:
            options["limit"] = _whole("limit", asked["limit"])
        await _answer(exchange, await self._loop.get_learning_insights_async(tenant_of(exchange), **options))

    async def stats(self, exchange: Exchange) -> None:
        """Give the counts."""
        asked = _query(exchange, frozenset({"time_range_hours"}))
        options = {name: _number(name, value) for name, value in asked.items()}
        await _answer(exchange, await self._loop.get_feedback_stats_async(tenant_of(exchange), **options))


def _said(body: Body) -> dict[str, Any]:
    for name in body:
        if name not in _FIELDS:
            raise BadRequest(f"{name}: there is no such field: {', '.join(sorted(_FIELDS))}", param=name)
    for name in _NEEDED:
        if name not in body:
            raise BadRequest(f"{name}: it is missing", param=name)
    return {**body, "content": body.get("content") or ""} if body.get("content") is None else body


def _shown(feedback: Feedback) -> dict[str, Any]:
    return {"object": "feedback", **msgspec.structs.asdict(feedback)}


async def _answer(exchange: Exchange, answer: dict[str, Any]) -> None:
    await exchange.answer(msgspec.json.encode(answer), [])


def _query(exchange: Exchange, known: frozenset[str]) -> dict[str, Any]:
    text = exchange.scope["query_string"].decode("latin-1")
    asked = dict(parse_qsl(text, keep_blank_values=True))
    for name in asked:
        if name not in known:
            raise BadRequest(f"{name}: there is no such parameter: {', '.join(sorted(known))}", param=name)
    return asked


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(f"{name}: expected a number, got {text!r}"[:200], param=name) from None


def _whole(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise BadRequest(f"{name}: expected a whole number, got {text!r}"[:200], param=name)


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name}: expected a time such as 2026-11-26T12:00:00Z", param=name) from None
