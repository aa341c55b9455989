"""The feedback loop for event loops: each method in a thread, while others run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gatewright.feedback.types import ALL_TENANTS, Delivery, Feedback, TenantScope

if TYPE_CHECKING:
    from pathlib import Path

    from gatewright.feedback.loop import FeedbackLoop

__all__ = ["AsynchronousFeedback"]


class AsynchronousFeedback:
    """The awaited forms of what waits for the database, a model or a callback; each does what its namesake does."""

    @property
    def _loop(self) -> FeedbackLoop:
        return self  # type: ignore[return-value]

    async def get_feedback_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Do what `get_feedback` does."""
        return await asyncio.to_thread(self._loop.get_feedback, feedback_id, tenant_id)

    async def list_feedback_async(self, tenant_id: TenantScope = None, **conditions: Any) -> list[Feedback]:
        """Do what `list_feedback` does."""
        return await asyncio.to_thread(self._loop.list_feedback, tenant_id, **conditions)

    async def get_learning_insights_async(self, tenant_id: TenantScope = None, **options: Any) -> dict[str, Any]:
        """Do what `get_learning_insights` does."""
        return await asyncio.to_thread(self._loop.get_learning_insights, tenant_id, **options)

    async def get_feedback_stats_async(self, tenant_id: TenantScope = None, **options: Any) -> dict[str, Any]:
        """Do what `get_feedback_stats` does."""
        return await asyncio.to_thread(self._loop.get_feedback_stats, tenant_id, **options)

    async def process_feedback_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Do what `process_feedback` does."""
        return await asyncio.to_thread(self._loop.process_feedback, feedback_id, tenant_id)

    async def mark_applied_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Do what `mark_applied` does."""
        return await asyncio.to_thread(self._loop.mark_applied, feedback_id, tenant_id)

    async def ignore_feedback_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Do what `ignore_feedback` does."""
        return await asyncio.to_thread(self._loop.ignore_feedback, feedback_id, tenant_id)

    async def delete_feedback_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> None:
        """Do what `delete_feedback` does."""
        await asyncio.to_thread(self._loop.delete_feedback, feedback_id, tenant_id)

    async def get_deliveries_async(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> list[Delivery]:
        """Do what `get_deliveries` does."""
        return await asyncio.to_thread(self._loop.get_deliveries, feedback_id, tenant_id)

    async def check_async(self) -> None:
        """Do what `check` does."""
        await asyncio.to_thread(self._loop.check)

    async def export_evaluation_set_async(self, path: str | Path, tenant_id: TenantScope = None, **options: Any) -> int:
        """Do what `export_evaluation_set` does."""
        return await asyncio.to_thread(self._loop.export_evaluation_set, path, tenant_id, **options)

    async def export_fine_tuning_async(self, path: str | Path, tenant_id: TenantScope = None, **options: Any) -> int:
        """Do what `export_fine_tuning` does."""
        return await asyncio.to_thread(self._loop.export_fine_tuning, path, tenant_id, **options)
