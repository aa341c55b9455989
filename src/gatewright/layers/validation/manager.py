"""The guardrails of a gateway: which hold for which call, and the version of them all."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.building import guardrails_of
from gatewright.layers.validation.config import ValidationConfig
from gatewright.layers.validation.findings import Finding, ValidationResult
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.layers.validation.panel import Panel
from gatewright.layers.validation.registered import Registered
from gatewright.layers.validation.rules import Context, Side
from gatewright.types.configuration import nearest

__all__ = ["ValidationManager"]

DEFAULT = "default"
KNOWN_CALLS = 4096
"""How many combinations of side, tenant, model and route are remembered with their guardrails."""


class ValidationManager:
    """Keeps guardrails by their names and knows which of them hold for a call."""

    def __init__(
        self, config: ValidationConfig | None = None, *, level: ValidationLevel | str = ValidationLevel.MODERATE
    ) -> None:
        self._level = ValidationLevel(level)
        self._lock = threading.RLock()
        self._registered: dict[str, Registered] = {}
        self._panels: dict[tuple[Any, ...], Panel | None] = {}
        self.policy_version = ""
        self.load(config or ValidationConfig())

    def load(self, config: ValidationConfig) -> None:
        """Put other guardrails in the place of those that there are; on any error those stay in force."""
        registered = {one.guardrail.name: one for one in guardrails_of(config, self._level)}
        for one in registered.values():  # whatever cannot be compiled is found here, and no call waits for it later
            one.guardrail.panel.prepare()
        with self._lock:
            self._registered = registered
            for one in registered.values():
                one.guardrail.book.on_change(self._changed)
            self._changed()

    def get_guardrail(self, name: str | None = None, level: ValidationLevel | str | None = None) -> Guardrail:
        """Give a guardrail by its name, or the default one; at another level, if one is given."""
        wanted = name or DEFAULT
        found = self._registered.get(wanted)
        if found is None:
            near = nearest(wanted, list(self._registered))
            raise ConfigurationError(
                f"guardrail: there is none named {wanted!r}" + (f"; did you mean {near!r}?" if near else ""),
                param="name",
            )
        return found.guardrail if level is None else found.guardrail.at(level)

    def register_guardrail(
        self,
        guardrail: Guardrail,
        *,
        tenants: Iterable[str] = (),
        models: Iterable[str] = (),
        routes: Iterable[str] = (),
    ) -> None:
        """Let a guardrail hold from the next call on; it takes the place of one of the same name."""
        with self._lock:
            one = Registered(guardrail, tuple(tenants), tuple(models), tuple(routes))
            self._registered = {**self._registered, guardrail.name: one}
            guardrail.book.on_change(self._changed)
            self._changed()

    def remove_guardrail(self, name: str) -> None:
        """Let a guardrail hold no more."""
        self.get_guardrail(name)
        with self._lock:
            self._registered = {key: one for key, one in self._registered.items() if key != name}
            self._changed()

    def guardrails(self) -> list[Registered]:
        """Give all guardrails, and what each is for."""
        return list(self._registered.values())

    def panel(self, side: Side, tenant: str | None, model: str, route: str) -> Panel | None:
        """Give the guardrails that hold for a call, together; None where there are none."""
        key = (side, tenant, model, route)
        try:
            return self._panels[key]
        except KeyError:
            return self._seat(key)

    def _seat(self, key: tuple[Any, ...]) -> Panel | None:
        with self._lock:
            holding = [one.guardrail for one in self._registered.values() if one.holds(*key)]
            panel = self._made(holding)
            if len(self._panels) >= KNOWN_CALLS:
                self._panels = {}
            self._panels[key] = panel
            return panel

    def _made(self, guardrails: Sequence[Guardrail]) -> Panel | None:
        if not guardrails:
            return None
        if len(guardrails) == 1:
            return guardrails[0].panel
        names = tuple(one.name for one in guardrails)
        panel = self._together.get(names)
        if panel is None:
            panel = self._together[names] = Panel(guardrails)
        return panel

    def _changed(self) -> None:
        with self._lock:
            self._together: dict[tuple[str, ...], Panel] = {}
            stale, self._panels = self._panels, {}
            parts = sorted(
                (one.guardrail.version, one.tenants, one.models, one.routes) for one in self._registered.values()
            )
            self.policy_version = blake2b(repr(parts).encode(), digest_size=8).hexdigest()
            for key in list(stale)[:64]:  # made here, where someone changes something, rather than in a call
                self._seat(key)

    def wanted(self, finding: Finding) -> str:
        """Say what a text has to be like, where the rule of a finding can tell."""
        registered = self._registered.get(finding.guardrail)
        rules = [] if registered is None else registered.guardrail.rules
        rule = next((one for one in rules if one.id == finding.rule), None)
        tell = getattr(rule, "wanted", None)
        return "" if tell is None else tell()

    async def validate_async(
        self, output: Any, context: Mapping[str, Any] | Context | None = None, output_type: str | None = None
    ) -> ValidationResult:
        """Judge an output by the default guardrail."""
        return await self.get_guardrail().validate_async(output, context, output_type)

    def validate(
        self, output: Any, context: Mapping[str, Any] | Context | None = None, output_type: str | None = None
    ) -> ValidationResult:
        """Do what `validate_async` does; where a rule has to await, not from a running event loop."""
        return self.get_guardrail().validate(output, context, output_type)
