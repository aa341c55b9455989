"""The outermost layer where operations are recorded: no call is made that could not be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler

__all__ = ["JournalState", "RecordingLayer"]


class JournalState(Protocol):
    """Whether a journal takes records."""

    @property
    def opened(self) -> bool:
        """Whether it has been opened."""
        ...

    @property
    def full(self) -> str | None:
        """Why it takes no more; None where it does."""
        ...


class RecordingLayer:
    """Asks `admit`, which raises where a record could not be kept, unless all is plainly well."""

    def __init__(self, journal: JournalState, admit: Callable[[], None]) -> None:
        self._journal = journal
        self._admit = admit

    def __call__(self, call: Call, proceed: Handler, /) -> Any:
        """Let the call go on."""
        if self._journal.full is not None or not self._journal.opened:
            self._admit()
        return proceed(call)
