"""Validators of the user's: functions that say whether an output is right."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, cast

from gatewright.errors import ConfigurationError
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.rules import Context, Kind, Problem, Problems

__all__ = ["Validator", "Verdict"]

Verdict = tuple[bool, str]
"""Whether the output is right, and what is wrong with it where it is not."""


class Validator:
    """A text rule made of `fn(output) -> (bool, message)`, which may be a coroutine function.

    A function that blocks holds up every other call meanwhile: have it run `in_thread`.
    """

    kinds: frozenset[Kind] = frozenset(("text",))
    text = ""

    def __init__(
        self,
        fn: Callable[[str], Verdict | Awaitable[Verdict]],
        id: str,  # noqa: A002 - as every rule has it
        *,
        severity: Severity = Severity.HIGH,
        action: Action | None = None,
        in_thread: bool = False,
    ) -> None:
        if not callable(fn):
            kind = type(cast(object, fn)).__name__
            raise ConfigurationError(f"validator: expected a function of the output, got {kind}", param="validator")
        if in_thread and inspect.iscoroutinefunction(fn):
            raise ConfigurationError("in_thread: a coroutine function runs on the event loop", param="in_thread")
        self.id = id
        self.severity = severity
        self.action = action
        self._fn = fn
        self._in_thread = in_thread

    def judge(self, text: str, context: Context, /) -> Problems | Awaitable[Problems]:
        """Ask the function; whatever it raises is raised here."""
        if self._in_thread:
            return self._later(asyncio.to_thread(cast("Callable[[str], Verdict]", self._fn), text))
        verdict = self._fn(text)
        return self._later(verdict) if inspect.isawaitable(verdict) else _problems(verdict)

    async def _later(self, verdict: Awaitable[Verdict]) -> Sequence[Problem]:
        return _problems(await verdict)

    @property
    def version(self) -> str:
        """Give what tells this function from another one: its name and its code."""
        code: Any = getattr(self._fn, "__code__", None)
        name = getattr(self._fn, "__qualname__", type(self._fn).__qualname__)
        written = "" if code is None else f"{code.co_code!r}{code.co_consts!r}{code.co_names!r}"
        return blake2b(f"{self._fn.__module__}.{name}{written}".encode(), digest_size=8).hexdigest()


def _problems(verdict: Any) -> Sequence[Problem]:
    try:
        right, message = verdict
    except (TypeError, ValueError):
        kind = type(verdict).__name__
        raise TypeError(f"a validator gives (bool, message), this one gave {kind}") from None
    return () if right else (Problem(str(message)),)
