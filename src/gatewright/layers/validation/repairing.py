"""How an answer that fails is repaired before it is given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from gatewright.layers.validation.findings import Finding
from gatewright.layers.validation.rules import Context
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.types.results import Answer

__all__ = ["Judge", "Repairable", "Repaired", "Repairer"]

Judge = Callable[[Answer], Awaitable[tuple[Answer, list[Finding]]]]
"""Judges an answer by the call's guardrails, local repairs included; gives it as it may pass, and what was found."""


@runtime_checkable
class Repairable(Protocol):
    """A rule that can mend a text itself."""

    def repair(self, text: str, context: Context, /) -> str | None:
        """Give a better text, or None where there is none; it is judged again."""
        ...


class Repaired(NamedTuple):
    """What came of a repair: the last answer, what is still wrong with it, and the requests that it took."""

    answer: Answer
    findings: list[Finding]
    attempts: int
    """Those for the first answer are not among them."""


class Repairer(Protocol):
    """Has an answer made good whose findings of action `repair` no rule could mend itself."""

    async def __call__(
        self, call: Call, proceed: Handler, answer: Answer, findings: Sequence[Finding], judge: Judge, /
    ) -> Repaired:
        """Ask again by `proceed` (each time within the call's deadline) until `judge` is content, or give up.

        `answer` is as `judge` gave it: of the choices that are right nothing else goes out.
        What it gives is blocked where fatal findings are still among it. The usage and the cost of every answer asked
        for are added to those of the one that is given.
        """
        ...
