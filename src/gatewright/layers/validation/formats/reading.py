"""JSON read tolerantly: out of a code fence, from among prose, and mended where its syntax is slightly wrong."""

from __future__ import annotations

import json
from typing import Any, Literal, NoReturn

import msgspec

from gatewright.errors import MissingExtra

__all__ = ["JsonReading", "fenced", "read_json"]

How = Literal["as it is", "in a code fence", "among other text", "mended"]

MOST_STARTS = 20
"""How many opening brackets among prose are tried: each costs the length of the text."""
MOST_MENDED = 200_000
"""Characters; a longer text is not mended, which takes some 0.5 µs a character."""
DEEPEST_MENDED = 100
"""Brackets left open; with more, mending is slow and means nothing."""


class JsonReading(msgspec.Struct, frozen=True):
    """What was read: the value, the JSON text that says it, and `how` it was found."""

    value: Any
    text: str
    how: How


def read_json(text: str, *, mend: bool = True) -> JsonReading | None:
    """Read the JSON in `text`; strictly first, then ever more tolerantly; None where there is none."""
    try:
        return JsonReading(msgspec.json.decode(text), text, "as it is")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    inner = fenced(text)
    if inner is not None and (found := _strict(inner)) is not None:
        return JsonReading(found[0], inner.strip(), "in a code fence")
    return _among(text) or (_mended(text if inner is None else inner) if mend else None)


def fenced(text: str) -> str | None:
    """Give what stands in the only code fence of `text`; None where there is none, or several.

    A fence that was opened and not closed ends with the text.
    """
    opened = text.find("```")
    if opened < 0:
        return None
    begins = text.find("\n", opened)
    if begins < 0:
        return None
    closed = text.find("\n```", begins)
    if closed < 0:
        return text[begins + 1 :]
    return None if "```" in text[closed + 4 :] else text[begins + 1 : closed]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _strict(text: str) -> tuple[Any] | None:
    try:
        return (msgspec.json.decode(text),)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _among(text: str) -> JsonReading | None:
    """Give the longest object or array that stands in `text`."""
    longest: tuple[int, int, Any] | None = None
    place = 0
    for _ in range(MOST_STARTS):
        starts = [at for at in (text.find("{", place), text.find("[", place)) if at >= 0]
        if not starts:
            break
        place = min(starts)
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        if longest is None or end - place > longest[1] - longest[0]:
            longest = (place, end, value)
        place = end
    if longest is None or not longest[2]:
        return None
    start, end, value = longest
    return JsonReading(value, text[start:end], "among other text")


def _mended(text: str) -> JsonReading | None:
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts or len(text) > MOST_MENDED or text.count("{") - text.count("}") > DEEPEST_MENDED:
        return None
    try:
        import json_repair
    except ImportError:
        raise MissingExtra("mending JSON", "guards") from None
    start = min(starts)
    try:
        value: Any = json_repair.repair_json(text[start:], return_objects=True, skip_json_loads=True)
        mended = msgspec.json.encode(value).decode()
    except (ValueError, RecursionError, TypeError, IndexError):
        return None
    wanted = dict if text[start] == "{" else list
    return JsonReading(value, mended, "mended") if isinstance(value, wanted) and value else None
