"""Records by their fields: what is done to a whole field of a batch at once costs each record next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatewright.types.records import OperationRecord

__all__ = ["Column", "Columns", "Series", "fields_of", "series_of"]

Column = Sequence[Any]
Columns = Mapping[str, Column]
Series = tuple[str | None, str | None, str | None, str | None, int, int]
"""What the reports tell operations apart by: tenant, agent, model, provider, type and status."""


def fields_of(records: Sequence[OperationRecord]) -> Columns:
    """Give the values of each field of some records, in their order, but for attempts and contents, which few have."""
    # Written out, as the interpreter reads an attribute that it knows twice as fast as any function does, and without
    # an object for each record that its collector would look at.
    return {
        "id": [one.id for one in records],
        "started_at": [one.started_at for one in records],
        "type": [one.type for one in records],
        "status": [one.status for one in records],
        "model": [one.model for one in records],
        "provider": [one.provider for one in records],
        "tenant": [one.tenant for one in records],
        "agent": [one.agent for one in records],
        "user": [one.user for one in records],
        "session": [one.session for one in records],
        "key": [one.key for one in records],
        "tags": [one.tags for one in records],
        "requested_model": [one.requested_model for one in records],
        "answered_model": [one.answered_model for one in records],
        "deployment": [one.deployment for one in records],
        "lane": [one.lane for one in records],
        "streamed": [one.streamed for one in records],
        "prompt_tokens": [one.prompt_tokens for one in records],
        "completion_tokens": [one.completion_tokens for one in records],
        "cached_tokens": [one.cached_tokens for one in records],
        "cache_write_tokens": [one.cache_write_tokens for one in records],
        "reasoning_tokens": [one.reasoning_tokens for one in records],
        "estimated": [one.estimated for one in records],
        "cost": [one.cost for one in records],
        "price_source": [one.price_source for one in records],
        "latency": [one.latency for one in records],
        "first_token": [one.first_token for one in records],
        "queued": [one.queued for one in records],
        "overhead": [one.overhead for one in records],
        "retries": [one.retries for one in records],
        "fallbacks": [one.fallbacks for one in records],
        "cache": [one.cache for one in records],
        "saved": [one.saved for one in records],
        "error": [one.error for one in records],
        "guards": [one.guards for one in records],
    }


def series_of(fields: Columns) -> Iterable[Series]:
    """Give the series of each operation."""
    return zip(*[fields[name] for name in ("tenant", "agent", "model", "provider", "type", "status")], strict=True)
