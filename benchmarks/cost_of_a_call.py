"""What it takes to know what a call cost, beside litellm's own way."""

from __future__ import annotations

import importlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.report import Row, at_least, microseconds
from gatewright.types.usage import Usage, UsageDetails

ABOUT = "CPU per cost of a call, exactly reckoned; the price has steps for long prompts and service tiers"
LIMIT = 3.0
MODEL = "gpt-5.4"
USAGES = {
    "plain": Usage(prompt_tokens=1200, completion_tokens=340, total_tokens=1540),
    "cached and reasoning, a long prompt": Usage(
        prompt_tokens=300_000, completion_tokens=2000, cached_tokens=200_000, reasoning_tokens=1500
    ),
    "with audio, in a service tier": Usage(
        prompt_tokens=900,
        completion_tokens=700,
        service_tier="flex",
        details=UsageDetails(prompt_audio_tokens=300, completion_audio_tokens=500),
    ),
}


def run(quick: bool) -> Iterator[Row]:
    """Time `Price.cost`, and `litellm.completion_cost` of the same plain usage."""
    from gatewright.llmops.pricing import catalogue

    count, rounds = (500, 5) if quick else (20_000, 15)
    price = catalogue().find("openai", MODEL)
    assert price is not None
    found: dict[str, list[float]] = {}
    for name, usage in USAGES.items():
        spent = found[name] = _timed(lambda usage=usage: price.cost(usage), count, rounds)
        best = sorted(spent)[len(spent) // 2]
        yield Row(name, microseconds(spent), must=f"<= {LIMIT:g} µs", ok=best <= LIMIT, numbers={"us": spent})
    theirs = _timed(_litellms(), 20 if quick else 500, rounds)
    yield at_least("plain, beside litellm.completion_cost", found["plain"], theirs, 10.0, "litellm")


def _litellms() -> Callable[[], Any]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm: Any = importlib.import_module("litellm")
    usage = litellm.Usage(prompt_tokens=1200, completion_tokens=340, total_tokens=1540)
    answer = litellm.ModelResponse(model=MODEL, usage=usage)
    return lambda: litellm.completion_cost(completion_response=answer, model=MODEL)


def _timed(work: Callable[[], Any], count: int, rounds: int) -> list[float]:
    """Give the CPU time of one call in µs, by round."""
    work()
    spent: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(count):
            work()
        spent.append((time.process_time() - began) / count * 1e6)
    return spent
