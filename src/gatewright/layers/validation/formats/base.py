"""What every format is: a rule that finds what is wrong with a text, and may be able to mend it by itself."""

from __future__ import annotations

from hashlib import blake2b

from pydantic import Field

from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.rules import Context, Kind, Problem
from gatewright.types.configuration import Config

__all__ = ["NOWHERE", "Format"]

NOWHERE = Context()
"""Outside of any call."""


class Format(Config):
    """A form that a text has to have: a rule of a guardrail, with everything compiled when it is made.

    `id` is what a finding cites, `severity` and `action` what is done about one: by default the answer is repaired,
    and blocked where that does not help. `text` is what the rule demands, in a sentence.
    """

    id: str = Field(default="format", min_length=1)
    severity: Severity = Severity.HIGH
    action: Action | None = Action.REPAIR
    text: str = ""
    kinds: frozenset[Kind] = frozenset({"text"})

    @property
    def version(self) -> str:
        """What tells it from others of its id: its settings."""
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()

    def judge(self, text: str, context: Context = NOWHERE, /) -> list[Problem]:
        """Give what is wrong with `text`; nothing where it has this form."""
        raise NotImplementedError

    def repair(self, text: str, context: Context = NOWHERE, /) -> str | None:
        """Give `text` in this form where that needs no model: nothing may be invented. None where it does."""
        return None

    def wanted(self) -> str:
        """Say what a text of this form is, for the model that has to write one."""
        return self.text
