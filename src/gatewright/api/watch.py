"""A client that goes away takes its call with it, up to the provider."""

from __future__ import annotations

import asyncio

from gatewright.api.exchange import Exchange
from gatewright.errors import GatewayError

__all__ = ["Watch"]


class Watch:
    """`async with Watch(exchange)`: what runs inside is cancelled when the client goes away."""

    __slots__ = ("_exchange", "_gone", "_task", "_watcher")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._gone = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        self._watcher.cancel()
        del self._watcher  # it keeps the cancellation, whose traceback has this: Python's collector alone would free it
        if not self._gone:
            return False
        self._task.uncancel()
        # There is nobody left to be told of these.
        return error is None or isinstance(error, asyncio.CancelledError | GatewayError)

    async def _wait(self) -> None:
        await self._exchange.until_gone()
        self._gone = True
        self._task.cancel()
