"""`GET /v1/llmops/metrics`, `/v1/llmops/costs` and `/v1/llmops/series`: what the operations add up to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gatewright.api.exchange import Exchange
from gatewright.errors import BadRequest
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["LLMOps"]

_COMMON = frozenset({"tenant_id", "agent_id", "time_range_hours"})
Report = Callable[..., Awaitable[dict[str, Any]]]


class LLMOps:
    """Answers with the gateway's reports; the query's names are those of its methods."""

    def __init__(self, gateway: LiteLLMGateway) -> None:
        self._gateway = gateway

    async def metrics(self, exchange: Exchange) -> None:
        """Give how it went."""
        await _answer(exchange, self._gateway.get_llmops_metrics_async)

    async def costs(self, exchange: Exchange) -> None:
        """Give what it costs."""
        await _answer(exchange, self._gateway.get_cost_summary_async)

    async def series(self, exchange: Exchange) -> None:
        """Give a line for each minute, hour or day."""
        await _answer(exchange, self._gateway.get_llmops_series_async, "step")


async def _answer(exchange: Exchange, report: Report, *more: str) -> None:
    found = await report(**_asked(exchange, _COMMON | set(more)))
    await exchange.answer(msgspec.json.encode(found), [])


def _asked(exchange: Exchange, known: frozenset[str]) -> dict[str, Any]:
    """Read the query; `BadRequest` names what is not known or said twice."""
    query: dict[str, Any] = {}
    for name, value in parse_qsl(exchange.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name not in known:
            raise BadRequest(f"{name}: there is no such parameter; there are {', '.join(sorted(known))}", param=name)
        if name in query:
            raise BadRequest(f"{name}: it is there twice", param=name)
        query[name] = value
    if "time_range_hours" in query:
        query["time_range_hours"] = _number(query["time_range_hours"])
    return query


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(
            f"time_range_hours: expected a number of hours, got {text!r}", param="time_range_hours"
        ) from None
