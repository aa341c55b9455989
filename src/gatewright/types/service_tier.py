"""The ways to be served that are billed apart: sooner for more, later for less."""

from __future__ import annotations

__all__ = ["service_tier"]

_BILLED = {
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
    "balanced": "balanced",
    "ultrafast": "ultrafast",
    "batch": "batch",
    # Google's `trafficType`
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
}


def service_tier(served: object) -> str | None:
    """Give the tier that a provider's word stands for; None for the standard one, whatever it is called."""
    return _BILLED.get(served.lower()) if isinstance(served, str) else None
