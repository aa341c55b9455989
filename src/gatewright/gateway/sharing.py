"""What the processes of one deployment share through Redis: limits, and what their breakers learned."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gatewright.clock import Clock
from gatewright.layers.circuit_breaker.shared import SharedBreakers
from gatewright.layers.rate_limiter.shared import SharedLedger
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis import RedisStore

if TYPE_CHECKING:
    from gatewright.layers.deduplication.shared.board import SharedBoard

__all__ = ["Sharing"]


class Sharing:
    """One connection, and those who use it; it is opened when it is first asked, and never waited for long."""

    def __init__(self, url: str, namespace: str, clock: Clock) -> None:
        self._store = RedisStore(url, namespace=namespace)
        self.ledger = SharedLedger(self._store, clock)
        self.breakers = SharedBreakers(self._store, clock)

    def flights(self, window: float) -> SharedBoard:
        """Give the flights that all processes see."""
        from gatewright.layers.deduplication.shared.board import SharedBoard

        return SharedBoard(self._store, window)

    def start(self) -> None:
        """Begin to hear what other processes learned, on the running loop."""
        self.breakers.start()

    async def check(self) -> None:
        """Raise where the store does not answer."""
        await self._store.check()

    def status(self) -> Any:
        """Say how the store is."""
        return self._store.status()

    async def aclose(self) -> None:
        """Close the connection, after those who use it and what they told last."""
        self.breakers.close()
        if self._store.status().state == "healthy":
            with suppress(StoreUnavailable):
                await self._store.check()
        await self._store.aclose()
        # What had no answer by then is not to be told again: that would open it anew.
        self.ledger.abandon()

    def abandon(self) -> None:
        """Let go of it without its loop."""
        self.breakers.abandon()
        self._store.abandon()
