"""Formats by their names in a guardrail's `use`: `{"length": {"max_words": 200}}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gatewright.layers.validation.formats.base import Format
from gatewright.layers.validation.formats.code import CodeFormat
from gatewright.layers.validation.formats.json import JsonFormat
from gatewright.layers.validation.formats.language import LanguageFormat
from gatewright.layers.validation.formats.length import LengthFormat
from gatewright.layers.validation.formats.tables import TableFormat
from gatewright.layers.validation.formats.wording import WordingFormat
from gatewright.layers.validation.rules import Rule

__all__ = ["code", "json", "language", "length", "table", "wording"]

Source = Callable[[Mapping[str, Any]], Iterable[Rule]]


def _source(cls: type[Format]) -> Source:
    def rules(settings: Mapping[str, Any]) -> Iterable[Rule]:
        return [cls.read(settings, "")]

    return rules


code = _source(CodeFormat)
json = _source(JsonFormat)
language = _source(LanguageFormat)
length = _source(LengthFormat)
table = _source(TableFormat)
wording = _source(WordingFormat)
