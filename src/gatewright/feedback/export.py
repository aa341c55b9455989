"""Feedback as data to evaluate and to train with, one JSON a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gatewright.errors import BadRequest
from gatewright.feedback.types import Feedback, FeedbackStatus, FeedbackType
from gatewright.feedback.words import text_key

__all__ = ["evaluation_cases", "fine_tuning_examples", "write_lines"]

GOOD = 4.0
"""From this rating on an answer is one to learn from."""


def evaluation_cases(feedback: Iterable[Feedback]) -> Iterator[dict[str, Any]]:
    """Give a case for each feedback that is not ignored: what was asked, answered and, of a correction, expected."""
    for one in feedback:
        if one.status is not FeedbackStatus.IGNORED:
            corrected = one.type is FeedbackType.CORRECTION
            yield {
                "id": one.id,
                "input": one.query,
                "answer": one.response,
                "expected": one.content if corrected else None,
                "comment": None if corrected else one.content or None,
                "type": one.type.value,
                "rating": one.rating,
                "model": one.model,
                "prompt_version": one.prompt_version,
                "tenant_id": one.tenant_id,
                "created_at": one.created_at,
                "metadata": one.metadata,
            }


def fine_tuning_examples(
    corrections: Iterable[Feedback], others: Iterable[Feedback] = (), system: str | None = None
) -> Iterator[dict[str, Any]]:
    """Give a chat for each question that was corrected, with the correction as the answer.

    Feedback comes newest first, so of several corrections of one question the newest counts. Of `others`, answers that
    were called useful, or rated 4 or more, stand as they are where nobody corrected that question. `system` is what the
    system says in each; a feedback's `metadata["system"]` takes its place.
    """
    asked: set[int] = set()
    for one in corrections:
        if _is_new(one, asked):
            yield _chat(one, one.content, system)
    for one in others:
        if _is_good(one) and _is_new(one, asked):
            yield _chat(one, one.response, system)


def write_lines(path: str | Path, lines: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON a line and give their number; the file is there whole, or as it was before."""
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    encode = msgspec.json.Encoder().encode
    count = 0
    try:
        with unfinished.open("wb") as file:
            for line in lines:
                file.write(encode(line) + b"\n")
                count += 1
        unfinished.replace(target)
    except OSError as error:
        raise BadRequest(f"path: {target} cannot be written: {error.strerror}", param="path") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _is_new(one: Feedback, asked: set[int]) -> bool:
    """Say whether it counts and its question was not there before; from now on it was."""
    key = text_key(one.query)
    if one.status is FeedbackStatus.IGNORED or not one.query.strip() or key in asked:
        return False
    asked.add(key)
    return True


def _is_good(one: Feedback) -> bool:
    if not one.response.strip() or one.type is FeedbackType.ERROR:
        return False
    return one.type is FeedbackType.USEFUL or (one.rating is not None and one.rating >= GOOD)


def _chat(one: Feedback, answer: str, system: str | None) -> dict[str, Any]:
    own = one.metadata.get("system")
    said = own if isinstance(own, str) and own else system
    first = [{"role": "system", "content": said}] if said else []
    return {"messages": [*first, {"role": "user", "content": one.query}, {"role": "assistant", "content": answer}]}
