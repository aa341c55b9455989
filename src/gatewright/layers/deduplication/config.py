"""Which calls are merged, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gatewright.types.configuration import Config, mapping

__all__ = ["DeduplicationConfig"]


class DeduplicationConfig(Config):
    """Identical calls of one tenant are one while the first is under way, and for `window` seconds after it.

    A caller who asks for several answers (`n`) or for a `temperature` above `max_temperature` wants variety: such
    calls are left alone, unless they say `deduplicate=True`. `deduplicate=False` leaves any call alone. `shared` merges
    them with those of other processes too, through the gateway's Redis.
    """

    enabled: bool = True
    window: float = Field(default=2.0, ge=0, le=3600)
    max_temperature: float = Field(default=1.0, ge=0)
    shared: bool = False

    def wants_variety(self, params: Mapping[str, Any]) -> bool:
        """Say whether whoever asks with these parameters wants several answers, or another one each time."""
        temperature: Any = params.get("temperature")
        if (type(temperature) is float or type(temperature) is int) and temperature > self.max_temperature:
            return True
        if "n" in params and params["n"] != 1:
            return True
        more = mapping(params.get("extra_body")) if "extra_body" in params else None
        return more is not None and self.wants_variety(more)
