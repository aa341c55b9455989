"""What the formats and the rule packs cost: nothing where they are not configured, little where they are."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.report import Row, microseconds

ABOUT = "CPU for judging an answer of 1 KB by one format, or by the rules of one pack"

RECORD = {
    "number": "INC0012345",
    "short_description": "The mail server is not reachable",
    "caller": "Ada Lovelace",
    "state": "Closed",
    "impact": "high",
    "urgency": "low",
    "priority": "3 - Moderate",
    "category": "Network",
    "assigned_to": "Service Desk",
    "resolution": "Restarted the server and checked it.",
    "confirmed": True,
    "opened_at": "2026-01-01T00:00:00Z",
    "resolved_at": "2026-01-02T00:00:00Z",
    "closed_at": "2026-01-03T00:00:00Z",
    "description": "Nobody could read mail. " * 24,
}
TEXT = json.dumps(RECORD)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["number", "state"],
    "properties": {
        **{name: {"type": "boolean" if value is True else "string"} for name, value in RECORD.items()},
        "number": {"type": "string", "pattern": "^INC[0-9]{7}$"},
        "impact": {"enum": ["high", "medium", "low"]},
    },
    "additionalProperties": False,
}


def run(quick: bool) -> Iterator[Row]:
    """Time one format after the other."""
    from gatewright.layers.validation.formats import JsonFormat, LanguageFormat, LengthFormat, WordingFormat
    from gatewright.layers.validation.packs import load_pack
    from gatewright.layers.validation.rules import Context

    count, rounds = (200, 5) if quick else (2_000, 15)
    context = Context()
    judged: list[tuple[str, Any, str, float | None]] = [
        ("JSON", JsonFormat(), TEXT, 50.0),
        ("JSON and its schema (15 properties)", JsonFormat(schema=SCHEMA), TEXT, 50.0),
        ("  the same in a code fence", JsonFormat(schema=SCHEMA), f"```json\n{TEXT}\n```", 50.0),
        ("length: words, characters", LengthFormat(max_words=999, max_characters=9_999), TEXT, None),
        (
            "wording: a word and a pattern",
            WordingFormat(must_contain=("mail",), must_not_match=("fo+bar",)),
            TEXT,
            None,
        ),
        ("language", LanguageFormat(languages=("en",)), RECORD["description"], None),
    ]
    for what, rule, text, limit in judged:
        yield _row(what, lambda rule=rule, text=text: rule.judge(text, context), count, rounds, limit)
    pack = load_pack("incident")

    def by_pack() -> None:
        anew = Context()  # so that the record is read anew, once for all rules
        for rule in pack.rules:
            assert not rule.judge(TEXT, anew)  # type: ignore[union-attr]

    yield _row(f"incident: {len(pack.rules)} rules", by_pack, count // 10, rounds, None)


def _row(what: str, work: Callable[[], object], count: int, rounds: int, limit: float | None) -> Row:
    spent = _timed(work, count, rounds)
    median = sorted(spent)[len(spent) // 2]
    must, ok = ("", None) if limit is None else (f"<= {limit:g} µs", median <= limit)
    return Row(what, microseconds(spent), must=must, ok=ok, numbers={"us": spent})


def _timed(work: Callable[[], object], count: int, rounds: int) -> list[float]:
    """Give the microseconds of CPU time of each round."""
    work()
    spent: list[float] = []
    gc.collect()
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(count):
            work()
        spent.append((time.process_time() - began) / count * 1e6)
    return spent
