"""Who wants to be told of which feedback, each by a name that survives the process."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from gatewright.errors import BadRequest
from gatewright.feedback.intake import checked_text
from gatewright.feedback.types import Feedback, FeedbackType

__all__ = ["Callback", "CallbackFunction", "Callbacks"]

CallbackFunction = Callable[[Feedback], Awaitable[object] | object]
MAX_NAME_BYTES = 200


class Callback:
    """A function under its name; one at a time is running."""

    def __init__(self, name: str, kind: FeedbackType, function: CallbackFunction) -> None:
        self.name = name
        self.kind = kind
        self.function = function
        self.running = threading.Lock()

    def __repr__(self) -> str:
        return f"<Callback {self.name} for {self.kind.value}>"


class Callbacks:
    """The callbacks of one process, by type; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[Callback, ...] = ()

    def register(self, kind: FeedbackType, function: CallbackFunction, name: str | None) -> Callback | None:
        """Add one; None where the same function is there already under that name.

        Without a name it has its module's and its own, so that another process knows it again.
        """
        if not callable(function):
            raise BadRequest(f"callback: expected a function, got {type(function).__name__}", param="callback")
        label = _own_name(function) if name is None else _given_name(name)
        label = f"{kind.value}:{label}"
        with self._lock:
            taken = {one.name: one for one in self._all}
            if label in taken and taken[label].function == function:
                return None
            if label in taken and name is not None:
                raise BadRequest(f"name: there is another callback {name!r} for {kind.value}", param="name")
            callback = Callback(_free(label, taken), kind, function)
            self._all = (*self._all, callback)
        return callback

    def remove(self, callback: Callback) -> None:
        """Take one away."""
        with self._lock:
            self._all = tuple(one for one in self._all if one is not callback)

    def of(self, kind: FeedbackType) -> list[Callback]:
        """Give those for one type, in the order of their registration."""
        return [one for one in self._all if one.kind is kind]

    def named(self, name: str) -> Callback | None:
        """Give the one of that name."""
        return next((one for one in self._all if one.name == name), None)

    def __iter__(self) -> Any:
        """Give all of them."""
        return iter(self._all)


def _own_name(function: CallbackFunction) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    inner = inspect.unwrap(named)
    return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', '')}"[:MAX_NAME_BYTES]


def _given_name(name: str) -> str:
    text = checked_text("name", name, MAX_NAME_BYTES)
    if not text.strip():
        raise BadRequest("name: expected a text that is not empty", param="name")
    return text


def _free(label: str, taken: dict[str, Callback]) -> str:
    """Give the name, or with a number where other functions of the same name came first, such as lambdas."""
    number = 1
    free = label
    while free in taken:
        number += 1
        free = f"{label}#{number}"
    return free
