"""The outermost layer where operations are recorded: no call is made that could not be."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler

__all__ = ["JournalState", "RecordingLayer"]


class JournalState(Protocol):
    """Whether a journal takes records: `opened`, and `full` saying why it takes no more where it does not."""

    opened: bool
    full: str | None


class RecordingLayer:
    """Asks `admit`, which raises where a record could not be kept, unless all is plainly well.

    From here on a call is among the `accounts`, until whoever keeps them hears that it has settled.
    """

    def __init__(
        self, journal: JournalState, admit: Callable[[], None], accounts: MutableMapping[str, Any | None]
    ) -> None:
        self._journal = journal
        self._admit = admit
        self._accounts = accounts

    def __call__(self, call: Call, proceed: Handler, /) -> Any:
        """Let the call go on."""
        if self._journal.full is not None or not self._journal.opened:
            self._admit()
        self._accounts[call.id] = None  # nothing has happened to it yet
        return proceed(call)
