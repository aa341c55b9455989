"""What limits, breakers, merging and batching add to a call that nothing holds up.

Judged is what they themselves take, with a provider in this process that waits once and answers, as `records_path`
does for the records. Beside it stands what that becomes on the direct lane over HTTP, where each call comes back from
the kernel to cold caches, and the same instructions take two or three times as long: that depends on the machine more
than on them. Both gateways live in this process, so that the difference of two small numbers is not one of two
processes.

The machine is shared and slows down for moments, by a half and more, and a difference of two small numbers with it: the
figure is the median of the quietest quarter of the rounds, by what on and off cost together; that of all stands beside.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contestants import KEY, PARAMS, PROMPT
from benchmarks.records_path import AtOnce
from benchmarks.report import Row, microseconds
from benchmarks.upstream import MODEL, upstream

ABOUT = "CPU per generate_async, everything on beside everything off (health is always on); unique prompts"
LIMIT = 18.0
NAME = "asked"
ROOMY = {"requests_per_minute": 1e9, "tokens_per_minute": 1e12, "max_concurrent": 1_000_000}
SWITCHED = ("circuit_breaker", "deduplication", "batching")
# The records are another part's figure, and are written by a thread whose time would be counted here.
OFF: dict[str, Any] = {"record_operations": False, **{name: {"enabled": False} for name in SWITCHED}}
EVERYTHING: dict[str, Any] = {
    "rate_limit": ROOMY,
    "tenant_rate_limits": {"acme": ROOMY},
    "model_rate_limits": {NAME: ROOMY},
    **{name: {"enabled": True} for name in SWITCHED},
}
DEPLOYMENT = {"rpm": 10**9, "tpm": 10**12, "max_parallel_requests": 1_000_000}
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "limits of all calls": ({name: EVERYTHING[name] for name in list(EVERYTHING)[:3]}, {}),
    "the deployment's limits": ({}, DEPLOYMENT),
    "circuit breaker": ({"circuit_breaker": {"enabled": True}}, {}),
    "deduplication": ({"deduplication": {"enabled": True}}, {}),
}


def run(quick: bool) -> Iterator[Row]:
    """Compare in many short rounds, in this process and at 1 and at 50 at once over HTTP."""
    count, rounds = (200, 4) if quick else (1000, 31)
    both: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}), (EVERYTHING, DEPLOYMENT)]
    # A round of these is some twenty milliseconds: the median needs more of them.
    yield _row("everything on", asyncio.run(_race(None, both, count, 5 * rounds, 1)), LIMIT)
    with upstream() as url:
        for at_once in (1, 50):
            what = f"  over HTTP, {at_once} at once"
            yield _row(what, asyncio.run(_race(url, both, count, rounds, at_once)))
        off, *each = asyncio.run(_race(url, [({}, {}), *PARTS.values()], count, max(3, rounds // 3), 1))
        for name, on in zip(PARTS, each, strict=True):
            more = [a - b for a, b in zip(on, off, strict=True)]
            yield Row(f"  {name} alone, over HTTP", microseconds(on), "", f"+{statistics.median(more):,.1f} µs")


def _row(what: str, found: list[list[float]], limit: float | None = None) -> Row:
    off, on = found
    more = [a - b for a, b in zip(on, off, strict=True)]
    quietest = sorted(zip(on, off, strict=True), key=sum)[: max(3, len(on) // 4)]
    figure = statistics.median(a - b for a, b in quietest)
    return Row(
        what, microseconds(on), f"off {microseconds(off)}",
        f"+{figure:,.1f} µs (of all rounds +{statistics.median(more):,.1f})",
        "" if limit is None else f"<= +{limit:g} µs", None if limit is None else figure <= limit,
        {"on_us": on, "off_us": off, "more_us": more},
    )  # fmt: skip


async def _race(
    url: str | None, settings: list[tuple[dict[str, Any], dict[str, Any]]], count: int, rounds: int, at_once: int
) -> list[list[float]]:
    gateways = [_gateway(url, *one) for one in settings]
    numbers = itertools.count()
    results: list[list[float]] = [[] for _ in gateways]
    for number in range(rounds + 1):
        for gateway, result in list(zip(gateways, results, strict=True))[:: 1 if number % 2 else -1]:
            spent = await _round(gateway, numbers, count, at_once)
            if number:
                result.append(spent)
    for gateway in gateways:
        await gateway.aclose()
    return results


def _gateway(url: str | None, settings: dict[str, Any], deployment: dict[str, Any]) -> Any:
    from gatewright import GatewayConfig, LiteLLMGateway, create_gateway

    if url is None:
        own: Any = [{"model_name": NAME, "litellm_params": {"model": f"own/{MODEL}", **deployment}}]
        config = GatewayConfig(model_list=own, **{**OFF, **settings})
        return LiteLLMGateway(config, providers={"own": lambda _: Waiting()})
    params = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY, **deployment}
    return create_gateway(model_list=[{"model_name": NAME, "litellm_params": params}], **{**OFF, **settings})


async def _round(gateway: Any, numbers: Iterator[int], count: int, at_once: int) -> float:
    left = itertools.repeat(None, count)

    async def work() -> None:
        for _ in left:
            await gateway.generate_async(f"{next(numbers)} {PROMPT}", model=NAME, tenant_id="acme", **PARAMS)

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return (time.process_time() - began) / count * 1e6


class Waiting(AtOnce):
    """Answers when the event loop has turned once, as every real provider does at least."""

    async def __call__(self, call: Any, /) -> Any:
        loop = asyncio.get_running_loop()
        turned: asyncio.Future[None] = loop.create_future()
        loop.call_soon(turned.set_result, None)
        await turned
        return await super().__call__(call)
