"""Calls that closing the gateway may cut off."""

from __future__ import annotations

import asyncio

from gatewright.errors import GatewayClosed

__all__ = ["UnderWay"]


class UnderWay:
    """`with UnderWay(tasks, call_id)`: while it lasts the running task is among `tasks`.

    Whoever takes it out of them and cancels it has it end as `GatewayClosed`, and not as cancelled.
    """

    __slots__ = ("_call_id", "_task", "_tasks")

    def __init__(self, tasks: set[asyncio.Task[object]], call_id: str) -> None:
        self._tasks = tasks
        self._call_id = call_id

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._tasks.add(task)

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if self._task in self._tasks:
            self._tasks.discard(self._task)
        elif isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise GatewayClosed("the gateway was closed during the call", request_id=self._call_id) from None
