"""Now and sleep, to be injected, so that whatever waits can be tested without waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["MONOTONIC", "Clock", "MonotonicClock"]


class Clock(Protocol):
    """Seconds that never go backwards, and a way to wait for them."""

    def now(self) -> float:
        """Give the monotonic time in seconds; on the system's clock the same as every event loop's `time()`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less only lets others run."""
        ...


class MonotonicClock:
    """The system's monotonic clock."""

    now = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))


MONOTONIC = MonotonicClock()
