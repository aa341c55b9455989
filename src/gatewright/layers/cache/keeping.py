"""Which answers are worth keeping."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.types.configuration import mapping
from gatewright.types.requests import GenerateRequest
from gatewright.types.results import Answer, Choice

__all__ = ["is_worth_keeping"]

# None is of providers that do not say; what they cut off they do say.
_ENDED_WELL = frozenset({"stop", "tool_calls", None})


def is_worth_keeping(request: GenerateRequest, answer: Answer) -> bool:
    """Whether an answer is complete and what was asked for: not cut off, not filtered, not empty, JSON where asked."""
    choices = answer.choices
    if not choices or not all(choice.finish_reason in _ENDED_WELL and _says_something(choice) for choice in choices):
        return False
    wanted = mapping(request.params.get("response_format"))
    if wanted is None or wanted.get("type") not in ("json_object", "json_schema"):
        return True
    return all(choice.tool_calls or choice.refusal or _is_json(choice.text) for choice in choices)


def _says_something(choice: Choice) -> bool:
    return bool(choice.text or choice.tool_calls or choice.refusal or choice.audio or choice.extra)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=Any)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False
    return True
