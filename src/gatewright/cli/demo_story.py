"""What happens inside the gateway during a request, told from its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from gatewright.pipeline.events import AttemptEnded, Event, Fallback, RetryScheduled

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Story"]


class Story:
    """Subscribes to a gateway's events and tells those of the last request."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def note(self, event: Event) -> None:
        """Keep an event."""
        self._events.append(event)

    def clear(self) -> None:
        """Forget what happened until now."""
        self._events.clear()

    def tell(self, screen: Console, *, failures_only: bool = False) -> None:
        """Print what happened, a line each."""
        for event in self._events:
            line = _line(event)
            if line is not None and not (failures_only and isinstance(event, AttemptEnded) and event.error is None):
                screen.print(line)


def _line(event: Event) -> Text | None:
    match event:
        case AttemptEnded(error=None):
            return Text.assemble(("  ✓ ", "green"), f"{event.provider} begins to answer after {event.seconds:.2f} s")
        case AttemptEnded():
            return Text.assemble(("  ✗ ", "red"), f"{event.provider} fails: {event.error.message}")  # type: ignore[union-attr]
        case RetryScheduled():
            return Text.assemble(("  ↻ ", "yellow"), f"again after {event.seconds:.2f} s")
        case Fallback():
            return Text.assemble(("  → ", "yellow"), f"{event.target} is asked instead of {event.source}")
        case _:
            return None
