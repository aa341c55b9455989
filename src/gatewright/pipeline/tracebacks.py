"""What an error keeps alive on its way to the caller."""

from __future__ import annotations

import asyncio

from gatewright.errors import GatewayError

__all__ = ["let_go_of_frames"]

OURS = (GatewayError, asyncio.CancelledError)


def let_go_of_frames(error: BaseException | None, kinds: tuple[type[BaseException], ...] = OURS) -> None:
    """Cut off the frames inside the gateway from the traceback of an error, and of those that caused it.

    They hold what has the error in its turn (a task, a future, a flight), and only Python's collector frees such a
    circle: thousands of refused calls at once, while every other call stands still. The errors of the tree say what
    went wrong without them; any other error keeps its frames, which are all that it has to say, unless its kind is
    named.
    """
    seen: set[int] = set()  # what was raised from each other goes in a circle
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, kinds):
            error.__traceback__ = None
        error = error.__context__ if error.__cause__ is None else error.__cause__
