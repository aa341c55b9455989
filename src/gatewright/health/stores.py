"""Whether the gateway's own stores answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gatewright.clock import Clock
from gatewright.health.faults import wording
from gatewright.types.configuration import mapping

__all__ = ["checked_stores"]

Check = Callable[[], Awaitable[object]]


async def checked_stores(checks: Mapping[str, Check], timeout: float, clock: Clock) -> dict[str, Any]:
    """Run all checks at once, each for `timeout` seconds at most, and write down what came of them.

    A mapping that a check gives is written down beside it.
    """
    results = await asyncio.gather(*(_checked(check, timeout, clock) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _checked(check: Check, timeout: float, clock: Clock) -> dict[str, Any]:
    began = clock.now()
    error: str | None = None
    details: object = None
    try:
        async with asyncio.timeout(timeout):
            details = await check()
    except TimeoutError:
        error = "Timed out"
    except Exception as failure:  # noqa: BLE001 - whatever a store fails with is what there is to be reported
        reason = getattr(failure, "reason", None)
        error = wording(type(failure)) + (f": {reason}" if reason else "")
    return {
        "status": "healthy" if error is None else "unhealthy",
        "last_error": error,
        "response_time_ms": round((clock.now() - began) * 1000, 1),
        **(mapping(details) or {}),
    }
