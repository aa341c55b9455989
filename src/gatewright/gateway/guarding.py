"""Guarding: what may go into a gateway, and what may come out; there only if it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatewright.clock import Clock
from gatewright.configuration.config import GatewayConfig
from gatewright.errors import ConfigurationError
from gatewright.layers.validation.config import ValidationConfig
from gatewright.pipeline.call import Call
from gatewright.pipeline.events import Events, GuardTripped
from gatewright.pipeline.layer import Layer
from gatewright.redaction import redact

if TYPE_CHECKING:
    from gatewright.layers.validation.manager import ValidationManager
    from gatewright.layers.validation.panel import Panel
    from gatewright.layers.validation.tally import GuardTally

__all__ = ["Guarding"]


class Guarding:
    """The guardrails of one gateway, and the layers that ask them."""

    def __init__(self, config: GatewayConfig, *, clock: Clock, events: Events) -> None:
        self._events = events
        self._clock = clock
        self._repair = (config.validation or ValidationConfig()).repair
        self.manager: ValidationManager | None = None
        self.tally: GuardTally | None = None
        self._redactor: tuple[str, Panel] | None = None
        enabled = config.enable_validation
        if config.validation is not None if enabled is None else enabled:
            from gatewright.layers.validation.manager import ValidationManager
            from gatewright.layers.validation.tally import GuardTally

            self.manager = ValidationManager(config.validation, level=config.validation_level)
            self.tally = GuardTally()
            events.subscribe(self.tally, GuardTripped)

    def version(self, call: Call) -> str:
        """Give the version of the guards that a call's answer passes: answers are kept apart by it."""
        return "" if self.manager is None else self.manager.policy_version

    def redact(self, text: str) -> str:
        """Give a text as it may be kept: without keys, nor what the default guardrail finds where guards are on."""
        text = redact(text)
        if self.manager is None:
            return text
        from gatewright.layers.validation.levels import ValidationLevel
        from gatewright.layers.validation.redaction import Placeholders

        # What may be said at a lenient level need not be kept.
        version = self.manager.policy_version
        if self._redactor is None or self._redactor[0] != version:
            self._redactor = (version, self.manager.get_guardrail(level=ValidationLevel.MODERATE).panel)
        return self._redactor[1].scan(text, "", Placeholders())[0]

    def input_layers(self) -> list[Layer]:
        """Give the layer that judges what is asked, which stands outside of the cache."""
        if self.manager is None:
            return []
        from gatewright.layers.validation.input_layer import InputGuardLayer

        return [InputGuardLayer(self.manager, self._events)]

    def output_layers(self) -> list[Layer]:
        """Give the layer that judges what is answered, which stands inside of everything that shares answers."""
        if self.manager is None:
            return []
        from gatewright.layers.validation.output_layer import OutputGuardLayer
        from gatewright.layers.validation.reasking import Reasking

        repairer = Reasking(self._repair, self._clock, self.manager.wanted)
        return [OutputGuardLayer(self.manager, self._events, repairer)]

    def known_manager(self) -> ValidationManager:
        """Give the guardrails, or the error that says how they are switched on."""
        if self.manager is None:
            raise ConfigurationError("enable_validation: it is off, so there are no guardrails: set it to True")
        return self.manager
