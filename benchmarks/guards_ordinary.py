"""Ordinary texts, in which guards should find nothing: recorded answers, questions, documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[2] / "shared"
_FIELDS = ("content", "text", "reasoning", "thinking", "reasoning_content", "arguments", "refusal")


def ordinary_texts() -> list[str]:
    """Give every text in the recorded answers, every MT-bench question and reference, every Cranfield document."""
    return [*_recorded(), *_questions(), *_documents()]


def _recorded() -> Iterator[str]:
    for path in sorted((SHARED / "recorded").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            response = json.loads(line)["response"] if line else {"status": 0}
            if response["status"] == 200 and response["body_encoding"] == "utf8":
                yield from _answers(response["body"])


def _answers(body: str) -> Iterator[str]:
    try:
        yield from _texts(json.loads(body))
    except ValueError:  # a stream: its pieces are not texts
        return


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name in _FIELDS and isinstance(one, str):
                yield one
            else:
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _questions() -> Iterator[str]:
    path = SHARED / "data/prompts/mt_bench_questions.jsonl"
    for line in path.read_text(encoding="utf-8").split("\n"):
        question = json.loads(line or '{"turns": []}')
        yield from (*question["turns"], *question.get("reference", []))


def _documents() -> list[str]:
    return re.split(r"\n\.I \d+", (SHARED / "data/retrieval/cran.all.1400").read_text(encoding="utf-8"))
