"""litellm's connections on an event loop, shared by all providers there and closed with the last."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from gatewright.providers.litellm.library import open_clients, stop_logging_worker

__all__ = ["Lease"]


class Lease:
    """One provider's use of litellm's connections on the loop that it runs on."""

    __slots__ = ("__weakref__", "_loop")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self) -> bool:
        """Note that the running loop's connections are in use; False when that was noted before."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return False
        self._loop = loop
        _users.setdefault(loop, WeakSet()).add(self)
        return True

    async def give_back(self) -> None:
        """Let go; the last one on the loop closes what litellm keeps there."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        users = _users[loop]
        users.discard(self)
        if not users and loop is asyncio.get_running_loop():
            await stop_logging_worker()
            for client in open_clients(loop):
                await _close(client)


_users: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Lease]] = WeakKeyDictionary()


async def _close(client: Any) -> None:
    """Close a client of litellm's own (`aclose`, or an asynchronous `close`), or one of the openai package's."""
    close = getattr(client, "aclose", None) or getattr(client, "close", None)
    closing = close() if close is not None else None
    if asyncio.iscoroutine(closing):
        await closing
