"""From what somebody says to something that is kept: checked, linked to its operation, durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from gatewright.errors import BadRequest
from gatewright.feedback.archive import Archive
from gatewright.feedback.callbacks import Callbacks
from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.intake import new_feedback
from gatewright.feedback.keeping import Keeper
from gatewright.feedback.types import Delivery, Feedback
from gatewright.storage.errors import StoreUnavailable

__all__ = ["Recording"]

LOOKS = (0.0, 0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds between looks for an operation that another process may have in its journal still."""


class Recording:
    """Takes feedback in; `recorded` brings what this process knows of operations into the database."""

    def __init__(
        self,
        config: FeedbackConfig,
        archive: Archive,
        keeper: Keeper,
        callbacks: Callbacks,
        now: Callable[[], datetime],
        recorded: Callable[[], None],
    ) -> None:
        self._config = config
        self._archive = archive
        self._keeper = keeper
        self._callbacks = callbacks
        self._now = now
        self._recorded = recorded

    def record(self, said: dict[str, Any]) -> str:
        """Keep it and give its id; `BadRequest` says what is wrong with it, and then nothing is kept."""
        feedback = self._linked(self._made(said))
        self._keeper.keep(feedback, self._due(feedback))
        return feedback.id

    async def record_async(self, said: dict[str, Any]) -> str:
        """Do the same, and let others run meanwhile."""
        feedback = self._made(said)
        if feedback.operation_id is not None:
            feedback = await asyncio.to_thread(self._linked, feedback)
        await self._keeper.keep_async(feedback, self._due(feedback))
        return feedback.id

    def _made(self, said: dict[str, Any]) -> Feedback:
        now = self._now()
        return new_feedback(self._config, now.replace(microsecond=now.microsecond // 1000 * 1000), **said)

    def _due(self, feedback: Feedback) -> list[Delivery]:
        callbacks = self._callbacks.of(feedback.type)
        return [Delivery(feedback_id=feedback.id, callback=one.name, due_at=feedback.created_at) for one in callbacks]

    def _linked(self, feedback: Feedback) -> Feedback:
        """Link it to its operation; another tenant's operation is as unknown as one that never was."""
        if feedback.operation_id is None:
            return feedback
        from gatewright.feedback.operations import linked

        try:
            operation = self._find(feedback.operation_id)
        except StoreUnavailable:
            return msgspec.structs.replace(feedback, operation="unverified")
        if operation is not None and operation.tenant_id == feedback.tenant_id:
            return linked(feedback, operation)
        if self._config.require_known_operation:
            raise BadRequest(
                f"operation_id: this tenant has no operation {feedback.operation_id!r}: give the request_id of an "
                "answer, or leave it out",
                param="operation_id",
            )
        return msgspec.structs.replace(feedback, operation="unknown")

    def _find(self, operation_id: str) -> Any:
        from gatewright.feedback.operations import operation_key

        if operation_key(operation_id) is None:
            return None
        for place, wait in enumerate(LOOKS):
            time.sleep(wait)
            if place == 1:
                self._recorded()
            found = self._keeper.ask(lambda: self._archive.operations.find(operation_id))
            if found is not None:
                return found
        return None
