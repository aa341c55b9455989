"""What recording adds to a call: its append to the journal, everything on the caller's path, and the writer's share."""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Row, microseconds
from gatewright.storage.journal import Journal, JournalConfig

ABOUT = "CPU per call of recording, on beside off in one process; the provider answers at once, so that little else is"
APPEND, ALL = 12.0, 20.0


def run(quick: bool) -> Iterator[Row]:
    """Measure the append alone, then whole calls: the caller's thread, and the process with the writer in it."""
    count, rounds = (200, 3) if quick else (2000, 31)
    append = [_appended(count) for _ in range(rounds)]
    yield Row(
        "append to the journal, 200 bytes", microseconds(append), "", "", f"<= {APPEND:g} µs",
        statistics.median(append) <= APPEND, {"us": append},
    )  # fmt: skip
    for what, writer, must in (("on the caller's path", False, None), ("with the writer's share", True, ALL)):
        off, on = asyncio.run(_race(count, rounds, writer))
        more = [a - b for a, b in zip(on, off, strict=True)]
        median = statistics.median(more)
        yield Row(
            f"recording a call, {what}", microseconds(on), f"off {microseconds(off)}",
            f"+{median:.1f} µs ({min(more):.1f} to {max(more):.1f})", "" if must is None else f"<= +{must:g} µs",
            None if must is None else median <= must, {"on_us": on, "off_us": off},
        )  # fmt: skip


def _appended(count: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(Path(directory), JournalConfig())
        journal.open()
        entry = b"x" * 200
        began = time.process_time()
        for _ in range(count):
            journal.append(entry)
        spent = time.process_time() - began
        journal.close()
    return spent / count * 1e6


async def _race(count: int, rounds: int, writer: bool) -> tuple[list[float], list[float]]:
    with tempfile.TemporaryDirectory() as directory:
        # Drained only when asked: the writer's turn would fall into rounds with and without recording alike.
        gateways = [_gateway(record_operations=False), _gateway(data_dir=directory, records={"interval": 60})]
        results: list[list[float]] = [[], []]
        for number in range(rounds + 1):
            for gateway, result in list(zip(gateways, results, strict=True))[:: 1 if number % 2 else -1]:
                spent = await _round(gateway, count, writer)
                if number:
                    result.append(spent)
        for gateway in gateways:
            await gateway.aclose()
    return results[0], results[1]


async def _round(gateway: Any, count: int, writer: bool) -> float:
    records = gateway._assembly.recording.records
    gc.collect()
    began, own = time.process_time(), time.thread_time()
    for _ in range(count):
        await gateway.generate_async("hello", tenant_id="acme", user="someone", deduplicate=False)
    spent = time.thread_time() - own
    if records is not None and not records.flush(60):
        raise RuntimeError("the records were not drained")
    return (time.process_time() - began if writer else spent) / count * 1e6


def _gateway(**settings: Any) -> Any:
    from gatewright import GatewayConfig, LiteLLMGateway

    models = [{"model_name": "m", "litellm_params": {"model": "own/m"}}]
    config = GatewayConfig(model_list=models, default_model="m", **settings)  # type: ignore[arg-type]
    return LiteLLMGateway(config, providers={"own": lambda _: AtOnce()})


class AtOnce:
    """Answers the same at once."""

    def __init__(self) -> None:
        from gatewright.types.results import Answer, Choice
        from gatewright.types.usage import Usage

        usage = Usage(prompt_tokens=100, completion_tokens=20, total_tokens=120)
        where = {"model": "m-2026", "provider": "own", "deployment_id": "m#0"}
        self._answer = Answer(choices=[Choice(text="hello")], **where, usage=usage, cost_usd=0.00123)

    async def __call__(self, call: Any, /) -> Any:
        from gatewright.pipeline.reply import Reply

        return Reply.whole(self._answer)

    async def aclose(self) -> None: ...
