"""Feedback: what recording costs, and what insights cost beside a tenth of the feedback."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.report import Row
from gatewright.feedback import Feedback, FeedbackLoop, FeedbackType
from gatewright.feedback.store import FeedbackStore
from gatewright.feedback.types import new_feedback_id
from gatewright.storage.sql.database import Database

ABOUT = "in SQLite; every third feedback a correction, one in ten of them worded as nobody else did"
FEEDBACK = 100_000
LIMIT_SECONDS = 2.0


def run(quick: bool) -> Iterator[Row]:
    """Record some, fill a database with many, and ask for insights."""
    count = 5_000 if quick else FEEDBACK
    yield _recorded(200 if quick else 2_000)
    seconds = {size: _insights(size) for size in (count // 10, count)}
    for size, took in seconds.items():
        must = f"<= {LIMIT_SECONDS:g} s" if size == count else ""
        ok = took <= LIMIT_SECONDS if size == count else None
        what = f"insights of {size:,} feedback, CPU"
        yield Row(what, f"{took * 1000:,.0f} ms", must=must, ok=ok, numbers={"seconds": took, "feedback": size})


def _recorded(count: int) -> Row:
    with tempfile.TemporaryDirectory() as directory, FeedbackLoop(data_dir=directory) as loop:
        loop.record_feedback("q", "r", "useful")
        began = time.process_time()
        for _ in range(count):
            loop.record_feedback("How?", "So.", "correction", "Not so.", "acme")
        took = (time.process_time() - began) / count
    return Row("record_feedback, one after the other, CPU", f"{took * 1e6:,.0f} µs", numbers={"seconds": took})


def _insights(count: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "records.sqlite"
        _fill(path, count)
        with FeedbackLoop(data_dir=directory) as loop:
            took: list[float] = []
            for _ in range(3):
                began = time.process_time()
                insights = loop.get_learning_insights("acme")
                took.append(time.process_time() - began)
            assert insights["total_feedback"] == count
    return min(took)


def _fill(path: Path, count: int) -> None:
    chance = random.Random(1)
    database = Database(path)
    store = FeedbackStore(database)
    now = datetime.now(UTC)
    words = [f"word{number}" for number in range(400)]
    common = [" ".join(chance.sample(words, 12)) for _ in range(300)]
    for start in range(0, count, 5000):
        store.add([(_said(chance, common, words, now), []) for _ in range(min(5000, count - start))])
    database.close()


def _said(chance: random.Random, common: list[str], words: list[str], now: datetime) -> Feedback:
    kind = chance.choice([FeedbackType.CORRECTION, FeedbackType.RATING, FeedbackType.USEFUL])
    content = chance.choice(common)
    if chance.random() < 0.1:
        content = " ".join(chance.sample(words, 14))
    return Feedback(
        id=new_feedback_id(),
        tenant_id="acme",
        type=kind,
        query="How do I do it? " * 10,
        response="You do it so. " * 40,
        content=content,
        rating=chance.randint(1, 5) if kind is FeedbackType.RATING else None,
        model=chance.choice(["a", "b", "c", None]),
        prompt_version=f"v{chance.randint(1, 20)}",
        created_at=now - timedelta(minutes=chance.randint(0, 60 * 24 * 60)),
    )
