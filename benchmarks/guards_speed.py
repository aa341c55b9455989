"""What guards cost: whole answers, streams, many patterns of a user's, names in a process of their own."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.guards_ordinary import SHARED
from benchmarks.report import Row, microseconds

ABOUT = "CPU of the default guards at MODERATE on ordinary text; streams in chunks of 20 characters"
TEXT = (SHARED / "data/retrieval/cran.all.1400").read_text(encoding="utf-8")
WORDS = sorted({word for word in TEXT.split() if word.isalpha() and len(word) > 5})


def run(quick: bool) -> Iterator[Row]:
    """Measure; each figure is the median of short rounds."""
    from gatewright.layers.validation.config import ValidationConfig
    from gatewright.layers.validation.manager import ValidationManager

    rounds = 5 if quick else 25
    panel = ValidationManager(ValidationConfig()).get_guardrail().panel
    answers = [TEXT[at : at + 1024] for at in range(100_000, 400_000, 1024)]
    small = _rounds(lambda: _scan_all(panel, answers), rounds)
    small = [one / len(answers) for one in small]
    yield _row("an answer of 1 KB", small, 40.0)
    lengths = {size: _rounds(lambda size=size: _scan_all(panel, [TEXT[:size]]), rounds) for size in (10_000, 100_000)}
    for size, spent in lengths.items():
        yield Row(
            f"  {size:,} characters", microseconds(spent), "", f"{statistics.median(spent) / size * 1024:.1f} µs/KB"
        )
    yield _row("1 MB", _rounds(lambda: _scan_all(panel, [TEXT[:1_000_000]]), max(3, rounds // 3)), 40_000.0)
    yield _row("a chunk of 20 characters", _streamed(panel, rounds), 12.0)
    yield _patterns(rounds)
    if not quick:
        yield from asyncio.run(_beside_names())


def _row(what: str, spent: list[float], limit: float) -> Row:
    median = statistics.median(spent)
    spread = f"{min(spent):,.1f} to {max(spent):,.1f}"
    return Row(what, microseconds(spent), "", spread, f"<= {limit:,.0f} µs", median <= limit, {"us": spent})


def _rounds(work: Callable[[], None], rounds: int) -> list[float]:
    """Give microseconds of CPU of each round, after one that is not counted."""
    spent: list[float] = []
    for number in range(rounds + 1):
        gc.collect()
        began = time.process_time()
        work()
        if number:
            spent.append((time.process_time() - began) * 1e6)
    return spent


def _scan_all(panel: Any, texts: list[str]) -> None:
    from gatewright.layers.validation.redaction import Placeholders

    for text in texts:
        panel.scan(text, "choices[0].text", Placeholders())


def _streamed(panel: Any, rounds: int) -> list[float]:
    from gatewright.layers.validation.redaction import Placeholders
    from gatewright.layers.validation.streaming import GuardedChunks
    from gatewright.types.results import Chunk

    text = TEXT[100_000:140_000]
    chunks = [Chunk(text=text[at : at + 20]) for at in range(0, len(text), 20)]

    def stream() -> None:
        guarded = GuardedChunks(panel, Placeholders())
        for chunk in chunks:
            guarded.feed(chunk)
        guarded.finish()

    return [one / len(chunks) for one in _rounds(stream, rounds)]


def _patterns(rounds: int) -> Row:
    from gatewright.layers.validation.guardrail import Guardrail
    from gatewright.layers.validation.rules import PatternRule

    def panel(count: int) -> Any:
        words = WORDS[:: max(1, len(WORDS) // count)][:count]
        rules = [PatternRule(id=f"p.{word}", pattern=rf"(?i)\bforbidden[ -]{word}s?\b") for word in words]
        return Guardrail("user", rules).panel

    few, many = panel(5), panel(500)
    answers = [TEXT[at : at + 1024] for at in range(100_000, 200_000, 1024)]
    ratios: list[float] = []
    for _ in range(rounds):
        (one,) = _rounds(lambda: _scan_all(few, answers), 1)
        (other,) = _rounds(lambda: _scan_all(many, answers), 1)
        ratios.append(other / one)
    median = statistics.median(ratios)
    return Row(
        "500 user patterns beside 5", f"{median:.2f} x", "", f"{min(ratios):.2f} to {max(ratios):.2f}", "<= 3 x",
        median <= 3.0,
    )  # fmt: skip


async def _beside_names() -> list[Row]:
    """Time other calls while names are looked for, and while they are not."""
    from gatewright import create_gateway
    from gatewright.layers.validation.content.name_finder import found_names

    texts = [TEXT[at : at + 1024] for at in range(100_000, 160_000, 1024)]
    await found_names(texts[0], ("PERSON",), 0.5)
    began = time.perf_counter()
    for text in texts[:20]:
        await found_names(text, ("PERSON", "LOCATION"), 0.5)
    each = (time.perf_counter() - began) / 20 * 1e6
    async with create_gateway(providers=["simulator"], default_model="simulator/instant") as gateway:
        alone, beside = [], []
        for _ in range(7):
            alone.append(await _slowest(gateway))
            looking = asyncio.create_task(_look(texts))
            beside.append(await _slowest(gateway))
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
    ratio = statistics.median(a / b for a, b in zip(beside, alone, strict=True))
    p99, before = f"{statistics.median(beside):,.2f} ms", f"alone {statistics.median(alone):,.2f} ms"
    return [
        Row("names in an answer of 1 KB, elapsed", f"{each:,.0f} µs"),
        Row("p99 of other calls meanwhile", p99, before, f"{ratio:.2f} x", "<= 1.1 x", ratio <= 1.1),
    ]


async def _look(texts: list[str]) -> None:
    from gatewright.layers.validation.content.name_finder import found_names

    while True:
        for text in texts:
            await found_names(text, ("PERSON", "LOCATION"), 0.5)


async def _slowest(gateway: Any) -> float:
    """Give the 99th percentile of 500 calls, one after the other, in milliseconds."""
    spent: list[float] = []
    for number in range(500):
        began = time.perf_counter()
        await gateway.generate_async(f"question {number}")
        spent.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0.002)
    return statistics.quantiles(spent, n=100)[98]
