"""The guardrails of a gateway, looked at and changed while it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewright.gateway.assembly import Assembly

if TYPE_CHECKING:
    from gatewright.layers.validation.manager import ValidationManager

__all__ = ["GuardControls"]


class GuardControls:
    """The gateway's methods of this kind."""

    _assembly: Assembly

    @property
    def validation_manager(self) -> ValidationManager:
        """The gateway's guardrails; a `ConfigurationError` where validation is off. Use it from any thread."""
        return self._assembly.guarding.known_manager()
