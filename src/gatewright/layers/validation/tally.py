"""How often each rule found something, since the gateway was made."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gatewright.pipeline.events import Event, GuardTripped

__all__ = ["GuardTally"]


class GuardTally:
    """Counts verdicts by guardrail, rule, severity, action and side; a subscriber of `GuardTripped`."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, str, str]] = Counter()

    def __call__(self, event: Event) -> None:
        """Hear of a verdict."""
        assert isinstance(event, GuardTripped)
        self._counts[event.guardrail, event.rule, event.severity, event.action, event.side] += 1

    def counts(self) -> list[dict[str, Any]]:
        """Give the counts as plain data, the most frequent first."""
        names = ("guardrail", "rule", "severity", "action", "side")
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [{**dict(zip(names, key, strict=True)), "count": count} for key, count in ranked]
