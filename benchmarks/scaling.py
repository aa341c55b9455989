"""What grows with the work: routing with the model list, a call's CPU with how many are under way."""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from benchmarks.race import Job, host, race
from benchmarks.report import Row, microseconds, ratio_of
from benchmarks.upstream import upstream

ABOUT = "CPU per call as the model list and the number of calls under way grow"
MORE_MICROSECONDS = 20.0
FLAT = 1.30
LISTS = {"1 deployment": (1, 1), "100 of one name": (100, 1), "1,000 of one name": (1000, 1), "1,000 names": (1, 1000)}
AT_ONCE = (10, 100, 1000, 5000)


def run(quick: bool) -> Iterator[Row]:
    """Measure routing alone, then whole calls."""
    yield from _routing(*((500, 3) if quick else (4000, 9)))
    yield from _calls(*((AT_ONCE[:-1], 1000, 2) if quick else (AT_ONCE, 10_000, 5)))


def _routing(count: int, rounds: int) -> Iterator[Row]:
    """Compare model lists by calls that a provider in this process answers at once: what differs is the routing."""
    from gatewright.layers.routing.strategies import StrategyName

    for strategy in get_args(StrategyName):
        costs = asyncio.run(_race_lists(strategy, count, rounds))
        first = costs[next(iter(LISTS))]
        for what, found in list(costs.items())[1:]:
            more = statistics.median(a - b for a, b in zip(found, first, strict=True))
            yield Row(
                f"{strategy}, {what}", microseconds(found), f"1 deployment {microseconds(first)}", f"{more:+.1f} µs",
                f"<= +{MORE_MICROSECONDS:g} µs", more <= MORE_MICROSECONDS, {"ours_us": found, "peer_us": first},
            )  # fmt: skip


async def _race_lists(strategy: str, count: int, rounds: int) -> dict[str, list[float]]:
    gateways = {what: _gateway(strategy, *size) for what, size in LISTS.items()}
    costs: dict[str, list[float]] = {what: [] for what in LISTS}
    for number in range(rounds + 1):
        for what, (gateway, names) in gateways.items():
            cost = await _round(gateway, names, count)
            if number:
                costs[what].append(cost)
    for gateway, _ in gateways.values():
        await gateway.aclose()
    return costs


async def _round(gateway: Any, names: list[str], count: int) -> float:
    gc.collect()
    cpu = time.process_time()
    for name in itertools.islice(itertools.cycle(names), count):
        await gateway.generate_async("hello", model=name, deduplicate=False)
    return (time.process_time() - cpu) / count * 1e6


def _gateway(strategy: str, deployments: int, names: int) -> tuple[Any, list[str]]:
    from gatewright import GatewayConfig, LiteLLMGateway

    asked = [f"name-{number}" for number in range(names)]
    entries: Any = [
        {"model_name": name, "litellm_params": {"model": "instant/model"}} for name in asked for _ in range(deployments)
    ]
    config = GatewayConfig(model_list=entries, routing_strategy=strategy)  # type: ignore[arg-type]
    return LiteLLMGateway(config, providers={"instant": _Instant}), asked


class _Instant:
    """A provider that has its answer already."""

    def __init__(self, deployment: Any) -> None:
        from gatewright.types.results import Answer, Choice

        self._answer = Answer(choices=[Choice(text="hello", finish_reason="stop")], model="model", provider="instant")

    async def __call__(self, call: Any, /) -> Any:
        from gatewright.pipeline.reply import Reply

        return Reply.whole(self._answer)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _calls(levels: Sequence[int], count: int, rounds: int) -> Iterator[Row]:
    """Compare by how many are under way, beside the bare client, with and without the cyclic garbage collector."""
    with upstream() as url, host(url, "gateway") as ours, host(url, "bare") as bare:
        for collector in (True, False):
            jobs = [
                Job(where, who, max(count, 3 * at_once), at_once=at_once, collector=collector)
                for at_once in levels
                for where, who in ((ours, "gateway"), (bare, "bare"))
            ]
            results = [result.cpu for result in race(jobs, rounds)]
            yield from _flatness(results[::2], results[1::2], collector=collector)


def _flatness(gateway: list[list[float]], client: list[list[float]], *, collector: bool) -> Iterator[Row]:
    for at_once, cpu, peer in zip(AT_ONCE, gateway, client, strict=False):
        ratio, peers = ratio_of(cpu, gateway[0]), ratio_of(peer, client[0])
        gated = collector and at_once != AT_ONCE[0]
        yield Row(
            f"{at_once:,} calls at once" if collector else f"  {at_once:,}, collector off",
            microseconds(cpu),
            f"bare {microseconds(peer)}, x {peers.median:.2f}",
            str(ratio),
            f"<= {FLAT:g} x of {AT_ONCE[0]}" if gated else "",
            ratio.median <= FLAT if gated else None,
            {"ours_us": cpu, "peer_us": peer},
        )
