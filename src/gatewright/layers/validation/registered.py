"""A guardrail, and the calls that it holds for."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.rules import Side

__all__ = ["Registered"]


class Registered(NamedTuple):
    """A guardrail, and the tenants, models and routes that it is for: all where none is named."""

    guardrail: Guardrail
    tenants: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    def holds(self, side: Side, tenant: str | None, model: str, route: str) -> bool:
        """Say whether it is asked about this."""
        return (
            side in self.guardrail.sides
            and _matches(self.tenants, tenant)
            and _matches(self.models, model)
            and _matches(self.routes, route)
        )


def _matches(patterns: tuple[str, ...], name: str | None) -> bool:
    return not patterns or (name is not None and any(fnmatchcase(name, pattern) for pattern in patterns))
