"""A feedback loop of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatewright.feedback import CallbackConfig, FeedbackConfig, FeedbackLoop

QUICK = CallbackConfig(first_wait=0.02, longest_wait=0.05, max_attempts=4, lease=0.5, poll_interval=0.1, timeout=5)


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(met: Callable[[], bool], seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    return wait


@pytest.fixture
def loop_of(tmp_path: Path) -> Iterator[Callable[..., FeedbackLoop]]:
    """Make loops over one directory, as processes that follow each other have them."""
    made: list[FeedbackLoop] = []

    def make(callbacks: CallbackConfig = QUICK, *, embed: Any = None, **settings: Any) -> FeedbackLoop:
        config = FeedbackConfig(callbacks=callbacks, **settings)
        loop = FeedbackLoop(config, data_dir=tmp_path / "data", embed=embed, embedding_model="e" if embed else None)
        made.append(loop)
        return loop

    yield make
    for loop in made:
        loop.close()


@pytest.fixture
def loop(loop_of: Callable[..., FeedbackLoop]) -> FeedbackLoop:
    return loop_of()


@pytest.fixture
def correct() -> Callable[..., str]:
    """Record a correction."""

    def record(loop: FeedbackLoop, content: str = "not so", tenant_id: str | None = "acme", **more: Any) -> str:
        return loop.record_feedback("How?", "So.", "correction", content, tenant_id, **more)

    return record
